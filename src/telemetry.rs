//! The service's metrics. Names and labels are only defined here.
//!
//! Note that all labels come from closed sets. We never use a URL, a host or an address as
//! a label. Callers are only labels if the token file names them.
//!
//! `docs/operations.md` lists all metrics.

mod callers;
mod counters;
mod origins;
mod registry;
mod reloads;
mod sample;
mod totals;
mod traces;

use std::time::Duration;

use prometheus::{Histogram, IntCounter, IntGauge};

use crate::{config::Limits, egress::Denied, response::Reason, retry::RetryCause};
pub(crate) use callers::CallerMetrics;
use callers::Callers;
use counters::Counters;
pub(crate) use origins::{OpenConnection, OriginMetrics};
use registry::Families;
pub(crate) use reloads::ReloadCounter;
use sample::Sampled;
pub(crate) use sample::{Connections, Sample};
pub(crate) use totals::Totals;
pub(crate) use traces::{
    BatchEnd, BatchSpan, BatchTrace, CallInfo, RequestTrace, TraceParent, Tracer,
};

/// All metrics of a server.
pub(crate) struct Metrics {
    families: Families,
    /// `FetchBatch` calls, by the gRPC code they ended with.
    pub(crate) batches: Counters,
    /// Ended requests, by the status class or the reason of the error.
    pub(crate) fetches: Counters,
    /// Retries, by the failure of the previous attempt.
    pub(crate) retries: Counters,
    /// Response body bytes sent to callers.
    pub(crate) body_bytes: IntCounter,
    /// Fetches that are waiting for their caller to read.
    pub(crate) stalled: IntGauge,
    /// Requests denied by the egress policy, by rule.
    pub(crate) denied: Counters,
    /// 1 if a shutdown has begun, otherwise 0.
    pub(crate) draining: IntGauge,
    pub(crate) callers: Callers,
    pub(crate) origins: OriginMetrics,
    pub(crate) tls_reloads: ReloadCounter,
    /// TLS handshakes with callers that failed or took too long.
    pub(crate) tls_handshake_failures: IntCounter,
    pub(crate) auth_reloads: ReloadCounter,
    /// Spans that the collector of traces never got.
    pub(crate) traces_dropped: IntCounter,
    fetch_duration: Histogram,
    queue_duration: Histogram,
    sampled: Sampled,
}

/// The outcomes of requests that have a response, or had to have none.
const RESPONSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];

/// The gRPC codes that a `FetchBatch` call may end with.
const CODES: [&str; 10] = [
    "OK",
    "CANCELLED",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "UNAUTHENTICATED",
];

impl Metrics {
    /// Creates and registers all metrics. They all start at 0, except for the constant
    /// ones.
    pub(crate) fn new(limits: &Limits) -> Self {
        let families = Families::new();
        let build = families.gauges("fetchd_build_info", "1, by version", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        sample::expose_limits(&families, limits);
        let reasons = Reason::ALL.into_iter().map(Reason::as_str);
        Self {
            batches: Counters::new(
                families.counters("fetchd_batches_total", "Calls by gRPC code", "code"),
                CODES,
            ),
            fetches: Counters::new(
                families.counters(
                    "fetchd_fetches_total",
                    "Requests that ended, by outcome",
                    "outcome",
                ),
                RESPONSES.into_iter().chain(reasons),
            ),
            retries: Counters::new(
                families.counters(
                    "fetchd_retries_total",
                    "Attempts after the first, by the failure of the attempt before",
                    "cause",
                ),
                RetryCause::LABELS,
            ),
            body_bytes: families.counter(
                "fetchd_body_bytes_total",
                "Bytes of response bodies sent to callers",
            ),
            stalled: families.gauge(
                "fetchd_stalled",
                "Fetches that wait for their caller to read",
            ),
            denied: Counters::new(
                families.counters(
                    "fetchd_egress_denied_total",
                    "Requests that the egress policy denied, by rule",
                    "rule",
                ),
                Denied::rules(),
            ),
            draining: families.gauge("fetchd_draining", "1 once a shutdown has begun"),
            callers: Callers::new(&families),
            origins: OriginMetrics::new(&families),
            tls_reloads: ReloadCounter::new(
                &families,
                (
                    "fetchd_tls_reloads_total",
                    "Changes of the files for TLS, by whether they could be used",
                ),
                (
                    "fetchd_tls_last_reload_successful",
                    "0 if the files for TLS have changed and cannot be used",
                ),
            ),
            tls_handshake_failures: families.counter(
                "fetchd_tls_handshake_failures_total",
                "TLS handshakes with callers that failed",
            ),
            auth_reloads: ReloadCounter::new(
                &families,
                (
                    "fetchd_auth_reloads_total",
                    "Changes of the token file, by whether it could be used",
                ),
                (
                    "fetchd_auth_last_reload_successful",
                    "0 if the token file has changed and cannot be used",
                ),
            ),
            traces_dropped: families.counter(
                "fetchd_traces_dropped_total",
                "Spans that were not exported",
            ),
            fetch_duration: families.histogram(
                "fetchd_fetch_duration_seconds",
                "From the first dispatch of a request to its end",
            ),
            queue_duration: families.histogram(
                "fetchd_queue_duration_seconds",
                "Total time that a request waited for a slot",
            ),
            sampled: Sampled::new(&families),
            families,
        }
    }

    /// Records how long a request waited for slots. If it was ever dispatched, also
    /// records how long it took in total.
    pub(crate) fn note_times(&self, queued: Duration, total: Option<Duration>) {
        self.queue_duration.observe(queued.as_secs_f64());
        if let Some(total) = total {
            self.fetch_duration.observe(total.as_secs_f64());
        }
    }

    /// Updates the metrics that aren't counted as they change. Call this before reading
    /// them.
    pub(crate) fn update(&self, sample: &Sample) {
        self.sampled.update(sample);
    }

    /// Renders all metrics in the Prometheus text format.
    pub(crate) fn text(&self) -> String {
        self.families.text()
    }
}
