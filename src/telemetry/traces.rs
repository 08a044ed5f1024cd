//! Traces: a span for each sampled batch, and one for each of its requests.
//!
//! A call is sampled or not when its headers arrive. If it isn't, nothing else happens: its
//! requests only check an `Option`. If it is, its requests record what happens to them, and
//! hand their spans to the exporter when they end. That's a thread of its own, so a slow
//! collector doesn't slow down a fetch. The number of spans is limited, and those beyond the
//! limit are dropped and counted.

mod batch_span;
mod exporter;
mod parent;
mod queue;
mod request_span;
mod text;

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, InstrumentationScope,
    trace::{SpanContext, SpanKind, TraceContextExt, TraceFlags, TraceId},
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, ShouldSample,
};
use prometheus::IntCounter;
use tokio::{
    sync::{mpsc, oneshot},
    time::{self, Instant},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::{self, ConfigError, Traces};
pub(crate) use batch_span::{BatchEnd, BatchSpan, BatchTrace, CallInfo};
use exporter::Flush;
pub(crate) use parent::TraceParent;
use queue::Queue;
pub(crate) use request_span::RequestTrace;

/// Starts spans, and owns their exporter. Clones share it, and it stops with the last one.
#[derive(Clone)]
pub(crate) struct Tracer(Arc<Shared>);

struct Shared {
    sampler: Box<dyn ShouldSample>,
    ids: RandomIdGenerator,
    scope: InstrumentationScope,
    queue: Arc<Queue>,
    flushes: mpsc::Sender<Flush>,
    _exporter: DropGuard,
}

/// Converts instants to points in time. All spans of a batch use the same one, so an
/// adjustment of the system clock doesn't tear them apart.
#[derive(Debug, Clone, Copy)]
struct Timeline {
    instant: Instant,
    time: SystemTime,
}

impl Tracer {
    /// Starts the exporter for `traces`. Spans that the collector never gets are counted in
    /// `dropped`.
    pub(crate) fn start(traces: &Traces, dropped: IntCounter) -> Result<Self, ConfigError> {
        let (queue_size, batch_size) = (traces.max_queue_size, traces.max_export_batch_size);
        let queue = Arc::new(Queue::new(queue_size, batch_size, dropped));
        let stop = CancellationToken::new();
        let (flushes, requests) = mpsc::channel(1);
        let started = exporter::start(traces, Arc::clone(&queue), requests, stop.clone());
        started.map_err(|error| {
            let expected = format!("expected a collector that can be used ({error})");
            ConfigError::new("otlp-endpoint", &traces.endpoint, expected)
        })?;
        Ok(Self(Arc::new(Shared {
            sampler: sampler(traces.sampler),
            ids: RandomIdGenerator::default(),
            scope: InstrumentationScope::builder("fetchd")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            queue,
            flushes,
            _exporter: stop.drop_guard(),
        })))
    }

    /// Decides whether the call is traced. If so, returns its span, which begins at the
    /// call's arrival.
    pub(crate) fn batch(
        &self,
        parent: Option<&TraceParent>,
        call: &CallInfo<'_>,
    ) -> Option<BatchSpan> {
        let parent = parent.map(TraceParent::context);
        let trace_id = parent.map_or_else(|| self.0.ids.new_trace_id(), SpanContext::trace_id);
        if !self.samples(trace_id, parent) {
            return None;
        }
        let place = self.0.queue.enter();
        let context = SpanContext::new(
            trace_id,
            self.0.ids.new_span_id(),
            TraceFlags::SAMPLED,
            false,
            parent
                .map(|parent| parent.trace_state().clone())
                .unwrap_or_default(),
        );
        let parent = parent.map(SpanContext::span_id);
        let trace = BatchTrace {
            tracer: self.clone(),
            context,
            id: call.batch,
            timeline: Timeline::since(call.arrival),
            has_span: place.is_some(),
        };
        Some(BatchSpan::new(trace, parent, call, place))
    }

    fn samples(&self, trace_id: TraceId, parent: Option<&SpanContext>) -> bool {
        let parent = parent.map(|parent| Context::new().with_remote_span_context(parent.clone()));
        let result = self.0.sampler.should_sample(
            parent.as_ref(),
            trace_id,
            batch_span::NAME,
            &SpanKind::Server,
            &[],
            &[],
        );
        result.decision == SamplingDecision::RecordAndSample
    }

    /// Exports all spans, including those that end meanwhile. Gives up after `limit`.
    /// Meanwhile, no new span starts.
    pub(crate) async fn flush(&self, limit: Duration) {
        let (flushed, done) = oneshot::channel();
        let flushing = async {
            self.0.flushes.send(flushed).await.ok()?;
            done.await.ok()
        };
        if let Ok(Some(())) = time::timeout(limit, flushing).await {
            return;
        }
        let spans = self.0.queue.len();
        tracing::warn!(spans, "the collector did not take the last spans in time");
    }
}

fn sampler(sampler: config::Sampler) -> Box<dyn ShouldSample> {
    let root = Sampler::TraceIdRatioBased(sampler.sampled_ratio());
    if sampler.follows_caller() {
        Box::new(Sampler::ParentBased(Box::new(root)))
    } else {
        Box::new(root)
    }
}

impl Timeline {
    /// Creates the timeline for something that began at `instant`, not long ago.
    fn since(instant: Instant) -> Self {
        Self {
            instant,
            time: SystemTime::now()
                .checked_sub(instant.elapsed())
                .unwrap_or(SystemTime::UNIX_EPOCH),
        }
    }

    /// Returns when `instant` was.
    fn time(&self, instant: Instant) -> SystemTime {
        self.time + instant.saturating_duration_since(self.instant)
    }
}
