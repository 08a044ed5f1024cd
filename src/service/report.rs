//! Reports on calls. This includes the metrics of every call, and the log lines: one for
//! each batch when it ends and, at `debug` level, one for each request. Log lines never
//! contain a URL.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
};

use http::StatusCode;
use tokio::time::Instant;

use super::context::{CallContext, TraceId};
use crate::{
    Code,
    caller::{Identity, Peer},
    response::Part,
    telemetry::{CallerMetrics, Metrics},
};

/// Gathers data about a call, and reports it on drop.
///
/// Call [`Report::end`] to set the code the call ended with. If you don't, we assume that
/// the caller cancelled the call.
pub(super) struct Report {
    arrival: Instant,
    peer: Peer,
    identity: Identity,
    /// The caller's own metrics, if it has a token.
    caller_metrics: Option<CallerMetrics>,
    trace_id: Option<TraceId>,
    /// The number of requests, or `None` if the batch hasn't begun.
    requests: Option<u32>,
    /// The statuses of responses whose bodies aren't complete yet, by request.
    heads: HashMap<u32, StatusCode>,
    outcomes: Outcomes,
    code: Code,
    metrics: Arc<Metrics>,
}

/// The number of requests for each outcome.
#[derive(Default)]
struct Outcomes(BTreeMap<&'static str, u32>);

impl Report {
    /// Creates the report for a call that has just arrived.
    pub(super) fn new(context: &CallContext, metrics: Arc<Metrics>) -> Self {
        Self {
            arrival: context.arrival,
            peer: context.peer,
            identity: context.identity.clone(),
            caller_metrics: context
                .identity
                .token_name()
                .and_then(|name| metrics.callers.get(name)),
            trace_id: context.trace_id(),
            requests: None,
            heads: HashMap::new(),
            outcomes: Outcomes::default(),
            code: Code::Cancelled,
            metrics,
        }
    }

    /// Records that the call was admitted, as a batch of this many requests.
    pub(super) fn begin(&mut self, requests: u32) {
        self.requests = Some(requests);
        self.metrics.batches_active.inc();
        if let Some(caller) = &self.caller_metrics {
            caller.batches.inc();
        }
    }

    /// Records a part. If it's the last one of its request, this updates the metrics and
    /// logs the request.
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
        if let Some(caller) = &self.caller_metrics {
            caller.fetches.inc();
            caller.body_bytes.inc_by(end.body_bytes);
        }
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

    /// Sets the code the call ended with.
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
            caller = Some(&self.identity)
                .filter(|identity| !identity.is_self())
                .map(tracing::field::display),
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
        } else if self.code == Code::ResourceExhausted
            && let Some(caller) = &self.caller_metrics
        {
            caller.refused.inc();
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
        // A caller that leaves before its call is admitted.
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
