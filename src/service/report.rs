//! Reports on calls. This includes the metrics of every call, and the log lines: one for
//! each batch when it ends and, at `debug` level, one for each request. Log lines never
//! contain a URL.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use http::StatusCode;
use tokio::time::Instant;
use tracing::Span;

use super::context::CallContext;
use crate::{
    Code,
    response::{End, Part},
    telemetry::{BatchEnd, BatchSpan, BatchTrace, CallerMetrics, Metrics},
};

/// Gathers data about a call, and reports it on drop.
///
/// Call [`Report::end`] to set the code the call ended with. If you don't, we assume that
/// the caller cancelled the call.
pub(super) struct Report {
    arrival: Instant,
    /// The parent of all log lines. It names the batch and its caller.
    span: Span,
    /// The call's span, if it's traced.
    trace: Option<BatchSpan>,
    /// The caller's own metrics, if it has a token.
    caller_metrics: Option<CallerMetrics>,
    /// The number of requests, or `None` if the batch hasn't begun.
    requests: Option<u32>,
    /// The statuses of responses whose bodies aren't complete yet, by request.
    heads: HashMap<u32, StatusCode>,
    outcomes: Outcomes,
    body_bytes: u64,
    code: Code,
    metrics: Arc<Metrics>,
}

/// The number of requests for each outcome.
#[derive(Default)]
struct Outcomes(BTreeMap<&'static str, u32>);

impl Report {
    /// Creates the report for a call that has just arrived.
    pub(super) fn new(
        context: &CallContext,
        trace: Option<BatchSpan>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            arrival: context.arrival,
            span: context.span.clone(),
            trace,
            caller_metrics: context
                .identity
                .token_name()
                .and_then(|name| metrics.callers.get(name)),
            requests: None,
            heads: HashMap::new(),
            outcomes: Outcomes::default(),
            body_bytes: 0,
            code: Code::Cancelled,
            metrics,
        }
    }

    /// Records that the call was admitted, as a batch of this many requests.
    pub(super) fn begin(&mut self, requests: u32) {
        self.requests = Some(requests);
        if let Some(caller) = &self.caller_metrics {
            caller.batches.inc();
        }
    }

    /// Returns the batch that the spans of its requests belong to, if it's traced.
    pub(super) fn trace(&self) -> Option<Arc<BatchTrace>> {
        self.trace.as_ref().map(BatchSpan::trace)
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
        self.body_bytes += end.body_bytes;
        let metrics = &self.metrics;
        metrics.fetches.inc(outcome);
        metrics.body_bytes.inc_by(end.body_bytes);
        if let Some(caller) = &self.caller_metrics {
            caller.fetches.inc();
            caller.body_bytes.inc_by(end.body_bytes);
        }
        metrics.note_times(end.timing.queued, end.timing.total);
        if let Some(rule) = end.error.as_ref().and_then(|error| error.rule) {
            metrics.denied.inc(rule);
        }
        self.log_request(part.index, outcome, end);
    }

    /// Sets the code the call ended with.
    pub(super) fn end(&mut self, code: Code) {
        self.code = code;
    }

    /// Logs that `missing` requests have no end.
    pub(super) fn log_missing(&self, missing: u32) {
        tracing::error!(parent: &self.span, missing, "requests have no end, which is a bug");
    }

    fn log_request(&self, index: u32, outcome: &str, end: &End) {
        let (timing, phases) = (end.timing, end.timing.phases);
        tracing::debug!(
            parent: &self.span,
            index,
            outcome,
            attempts = end.attempts,
            redirects = end.redirects,
            body_bytes = end.body_bytes,
            queued_s = seconds(timing.queued),
            dns_s = phases.dns.map(seconds),
            connect_s = phases.connect.map(seconds),
            tls_s = phases.tls.map(seconds),
            first_byte_s = timing.first_byte.map(seconds),
            duration_s = timing.total.map(seconds),
            connection_reused = phases.is_reused,
            "request ended"
        );
    }

    fn log_batch(&self, requests: u32) {
        let message = match self.code {
            Code::Cancelled => "batch cancelled",
            _ => "batch ended",
        };
        tracing::info!(
            parent: &self.span,
            code = self.code.as_str(),
            requests,
            outcomes = ?self.outcomes,
            body_bytes = self.body_bytes,
            duration_s = seconds(self.arrival.elapsed()),
            "{message}"
        );
    }

    fn log_refused(&self) {
        tracing::debug!(
            parent: &self.span,
            code = self.code.as_str(),
            duration_s = seconds(self.arrival.elapsed()),
            "call ended without a batch"
        );
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        let code = self.code.as_str();
        self.metrics.batches.inc(code);
        if let Some(trace) = self.trace.take() {
            trace.end(&BatchEnd {
                code: self.code,
                requests: self.requests,
                outcomes: &self.outcomes.0,
            });
        }
        if let Some(requests) = self.requests {
            self.log_batch(requests);
            return;
        }
        self.log_refused();
        if self.code == Code::ResourceExhausted
            && let Some(caller) = &self.caller_metrics
        {
            caller.refused.inc();
        }
    }
}

/// Writes a JSON object, which the JSON log takes over as it is.
impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.0).finish()
    }
}

/// Converts to seconds, for the log. Microseconds are precise enough.
fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e6
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
    use crate::config::Limits;

    #[test]
    fn each_call_is_counted_once_by_its_code() {
        let metrics = Arc::new(Metrics::new(&Limits::default()));
        let report = || Report::new(&CallContext::local(), None, Arc::clone(&metrics));
        // A caller that leaves before its call is admitted.
        drop(report());
        let mut rejected = report();
        rejected.end(Code::Unavailable);
        drop(rejected);
        let mut admitted = report();
        admitted.begin(1);
        admitted.end(Code::Ok);
        drop(admitted);
        for code in [Code::Cancelled, Code::Unavailable, Code::Ok] {
            let counter = metrics.batches.get(code.as_str());
            assert_eq!(counter.get(), 1, "{code}");
        }
    }
}
