//! The span of a batch, and the data that the spans of its requests share.

use std::{collections::BTreeMap, net::SocketAddr, sync::Arc};

use opentelemetry::{
    KeyValue, Value,
    trace::{SpanContext, SpanId, SpanKind, Status, TraceId},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use tokio::time::Instant;

use super::{Timeline, Tracer, queue::Place, text::clipped};
use crate::{Code, request::BatchId};

/// The span of a `FetchBatch` call. It's lost unless [`BatchSpan::end`] is called.
pub(crate) struct BatchSpan {
    trace: Arc<BatchTrace>,
    data: SpanData,
    /// `None` if there was no room for the span.
    place: Option<Place>,
}

/// A traced batch, to which the spans of its requests belong.
pub(crate) struct BatchTrace {
    pub(super) tracer: Tracer,
    pub(super) context: SpanContext,
    pub(super) id: BatchId,
    pub(super) timeline: Timeline,
    /// If there was no room for its span, there won't be any for its requests either. Their
    /// parent would be missing.
    pub(super) has_span: bool,
}

/// The data of a call that are known when it arrives.
pub(crate) struct CallInfo<'a> {
    pub(crate) arrival: Instant,
    pub(crate) batch: BatchId,
    /// Where the call comes from.
    pub(crate) peer: Option<SocketAddr>,
    /// The name of the caller's token.
    pub(crate) caller: Option<&'a str>,
}

/// How a call ended.
pub(crate) struct BatchEnd<'a> {
    pub(crate) code: Code,
    /// The number of requests, or `None` if the batch hasn't begun.
    pub(crate) requests: Option<u32>,
    /// The number of requests for each outcome.
    pub(crate) outcomes: &'a BTreeMap<&'static str, u32>,
}

/// The name of all such spans: the call's gRPC method.
pub(super) const NAME: &str = "fetchd.v1.FetchService/FetchBatch";

impl BatchSpan {
    /// Creates the span of `trace`, below the caller's span `parent`.
    pub(super) fn new(
        trace: BatchTrace,
        parent: Option<SpanId>,
        call: &CallInfo<'_>,
        place: Option<Place>,
    ) -> Self {
        let id = trace.context.span_id();
        let mut data = trace.span(id, call.arrival);
        data.parent_span_id = parent.unwrap_or(SpanId::INVALID);
        data.parent_span_is_remote = parent.is_some();
        data.span_kind = SpanKind::Server;
        data.name = NAME.into();
        data.attributes.extend([
            KeyValue::new("rpc.system", "grpc"),
            KeyValue::new("rpc.service", "fetchd.v1.FetchService"),
            KeyValue::new("rpc.method", "FetchBatch"),
        ]);
        if let Some(peer) = call.peer {
            data.attributes.extend([
                KeyValue::new("client.address", peer.ip().to_string()),
                KeyValue::new("client.port", i64::from(peer.port())),
            ]);
        }
        if let Some(caller) = call.caller {
            let caller = clipped(caller.to_owned());
            data.attributes.push(KeyValue::new("fetchd.caller", caller));
        }
        Self {
            trace: Arc::new(trace),
            data,
            place,
        }
    }

    /// Returns the ID of its trace.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.trace.context.trace_id()
    }

    /// Returns the batch that the spans of its requests belong to.
    pub(crate) fn trace(&self) -> Arc<BatchTrace> {
        Arc::clone(&self.trace)
    }

    /// Ends the span, and hands it to the exporter.
    pub(crate) fn end(self, end: &BatchEnd<'_>) {
        let Self {
            trace,
            mut data,
            place,
        } = self;
        data.end_time = trace.timeline.time(Instant::now());
        let code = i64::from(end.code.number());
        let attributes = &mut data.attributes;
        attributes.push(KeyValue::new("rpc.grpc.status_code", code));
        let requests = end.requests.map(i64::from);
        attributes.extend(requests.map(|count| KeyValue::new("fetchd.batch.size", count)));
        let outcomes = end.outcomes.iter();
        attributes.extend(outcomes.map(|(outcome, count)| {
            let count = Value::I64(i64::from(*count));
            KeyValue::new(format!("fetchd.outcomes.{outcome}"), count)
        }));
        if is_fault_of_the_server(end.code) {
            attributes.push(KeyValue::new("error.type", end.code.as_str()));
            data.status = Status::error("");
        }
        if let Some(place) = place {
            trace.tracer.0.queue.add(data, place);
        }
    }
}

impl BatchTrace {
    /// Creates a span of this trace that starts at `start`. By default, it belongs to the
    /// batch.
    pub(super) fn span(&self, id: SpanId, start: Instant) -> SpanData {
        let start = self.timeline.time(start);
        let state = self.context.trace_state().clone();
        let (trace_id, flags) = (self.context.trace_id(), self.context.trace_flags());
        SpanData {
            span_context: SpanContext::new(trace_id, id, flags, false, state),
            parent_span_id: self.context.span_id(),
            parent_span_is_remote: false,
            span_kind: SpanKind::Client,
            name: "".into(),
            start_time: start,
            end_time: start,
            attributes: vec![KeyValue::new("fetchd.batch.id", self.id.to_string())],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.tracer.0.scope.clone(),
        }
    }
}

/// Returns true for codes that are errors of a server span by the conventions for gRPC.
fn is_fault_of_the_server(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}
