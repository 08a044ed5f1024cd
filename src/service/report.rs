//! Reports of calls: the metrics of each call, and the log lines of each batch, one when
//! it ends and, at `debug`, one for each request. They never contain a URL.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use http::StatusCode;
use tokio::time::Instant;

use super::context::{CallContext, TraceId};
use crate::{Code, caller::Peer, response::Part, telemetry::Metrics};

/// The report of one call, which is made when this is dropped. Unless [`Report::end`]
/// says otherwise, the caller has cancelled the call.
pub(super) struct Report {
    arrival: Instant,
    peer: Peer,
    trace_id: Option<TraceId>,
    /// The number of requests, once the batch has begun.
    requests: Option<u32>,
    /// The statuses of responses whose bodies are not complete.
    heads: HashMap<u32, StatusCode>,
    outcomes: Outcomes,
    code: Code,
    metrics: Arc<Metrics>,
}

/// The number of requests by outcome.
#[derive(Default)]
struct Outcomes(BTreeMap<&'static str, u32>);

impl Report {
    /// Returns the report of a call that has just arrived.
    pub(super) fn new(context: &CallContext, metrics: Arc<Metrics>) -> Self {
        Self {
            arrival: context.arrival,
            peer: context.peer,
            trace_id: context.trace_id(),
            requests: None,
            heads: HashMap::new(),
            outcomes: Outcomes::default(),
            code: Code::Cancelled,
            metrics,
        }
    }

    /// Notes that the call was admitted, as a batch of this many requests.
    pub(super) fn begin(&mut self, requests: u32) {
        self.requests = Some(requests);
        self.metrics.batches_active.inc();
    }

    /// Notes a part of a result, and reports the request if it is the last.
    pub(super) fn note(&mut self, part: &Part) {
        let status = part.head.as_ref().map(|head| head.status);
        let Some(end) = &part.end else {
            self.heads.extend(status.map(|status| (part.index, status)));
            return;
        };
        let status = status.or_else(|| self.heads.remove(&part.index));
        let outcome = match (&end.error, status) {
            (Some(error), _) => error.reason.as_str(),
            (None, Some(status)) => class(status),
            (None, None) => "none",
        };
        *self.outcomes.0.entry(outcome).or_default() += 1;
        let metrics = &self.metrics;
        metrics.count_fetch(outcome);
        metrics.body_bytes.inc_by(end.body_bytes);
        metrics.note_times(end.timing.queued, end.timing.total);
        if let Some(rule) = end.error.as_ref().and_then(|error| error.rule) {
            metrics.denied.with_label_values(&[rule]).inc();
        }
        tracing::debug!(
            index = part.index,
            outcome,
            attempts = end.attempts,
            bytes = end.body_bytes,
            queued = ?end.timing.queued,
            total = ?end.timing.total,
            "request ended"
        );
    }

    /// Notes the code that the call ends with.
    pub(super) fn end(&mut self, code: Code) {
        self.code = code;
    }

    fn log_batch(&self, requests: u32) {
        let message = match self.code {
            Code::Cancelled => "batch cancelled",
            _ => "batch ended",
        };
        tracing::info!(
            code = self.code.as_str(),
            requests,
            outcomes = %self.outcomes,
            duration = ?self.arrival.elapsed(),
            peer = self.peer.address().map(tracing::field::display),
            trace_id = self.trace_id.map(tracing::field::display),
            "{message}"
        );
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let code = self.code.as_str();
        self.metrics.batches.with_label_values(&[code]).inc();
        if let Some(requests) = self.requests {
            self.metrics.batches_active.dec();
            self.log_batch(requests);
        }
    }
}

impl fmt::Display for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (outcome, count)) in self.0.iter().enumerate() {
            let separator = if position == 0 { "" } else { " " };
            write!(f, "{separator}{outcome}={count}")?;
        }
        Ok(())
    }
}

fn class(status: StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        1 => "1xx",
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        _ => "5xx",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_call_is_counted_once_by_its_code() {
        let metrics = Arc::new(Metrics::new());
        let context = CallContext::local();
        let report = || Report::new(&context, Arc::clone(&metrics));
        // The caller leaves before the call is admitted.
        drop(report());
        let mut rejected = report();
        rejected.end(Code::Unavailable);
        drop(rejected);
        let mut admitted = report();
        admitted.begin(1);
        assert_eq!(metrics.batches_active.get(), 1);
        admitted.end(Code::Ok);
        drop(admitted);
        assert_eq!(metrics.batches_active.get(), 0);
        for code in [Code::Cancelled, Code::Unavailable, Code::Ok] {
            let counter = metrics.batches.with_label_values(&[code.as_str()]);
            assert_eq!(counter.get(), 1, "{code}");
        }
    }
}
