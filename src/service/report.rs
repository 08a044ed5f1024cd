//! What the log and the metrics say of a batch: one line when it ends, and one
//! for each request for those who debug. Never a URL.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::Arc,
};

use http::StatusCode;
use tokio::time::Instant;

use crate::{Code, request::Batch, response::Part, telemetry::Metrics};

/// A batch on its way into the log. The line is written when this is dropped.
pub(super) struct Report {
    requests: u32,
    arrival: Instant,
    peer: Option<SocketAddr>,
    trace_id: Option<String>,
    /// The statuses of those whose bodies are under way.
    heads: HashMap<u32, StatusCode>,
    outcomes: Outcomes,
    /// The gRPC code that the call ends with.
    code: Code,
    metrics: Arc<Metrics>,
}

/// How many requests ended in which way.
#[derive(Default)]
struct Outcomes(BTreeMap<&'static str, u32>);

impl Report {
    /// A report on `batch`, called for by `peer`.
    pub(super) fn new(
        batch: &Batch,
        peer: Option<SocketAddr>,
        trace_id: Option<String>,
        metrics: Arc<Metrics>,
    ) -> Self {
        metrics.batches_active.inc();
        Self {
            requests: batch.requests.count(),
            arrival: batch.arrival,
            peer,
            trace_id,
            heads: HashMap::new(),
            outcomes: Outcomes::default(),
            code: Code::Cancelled,
            metrics,
        }
    }

    /// Counts `part`, where it is the last of its request.
    pub(super) fn note(&mut self, part: &Part) {
        let head = part.head.as_ref().map(|head| head.status);
        let Some(end) = &part.end else {
            self.heads.extend(head.map(|status| (part.index, status)));
            return;
        };
        let status = head.or_else(|| self.heads.remove(&part.index));
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

    /// Notes the gRPC code that the call ends with.
    pub(super) fn end(&mut self, code: Code) {
        self.code = code;
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.metrics.batches_active.dec();
        self.metrics
            .batches
            .with_label_values(&[self.code.as_str()])
            .inc();
        let ended = match self.code {
            Code::Cancelled => "batch cancelled",
            _ => "batch ended",
        };
        tracing::info!(
            code = self.code.as_str(),
            requests = self.requests,
            outcomes = %self.outcomes,
            duration = ?self.arrival.elapsed(),
            peer = self.peer.map(tracing::field::display),
            trace_id = self.trace_id,
            "{ended}"
        );
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
