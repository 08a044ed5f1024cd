//! The service's metrics. Names and labels are only defined here.
//!
//! Note that all labels come from closed sets. We never use a URL, a host or an address as
//! a label. Callers are only labels if the token file names them.

mod callers;

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    core::Collector, process_collector::ProcessCollector,
};

use crate::gate;
pub(crate) use callers::{CallerMetrics, Callers};

/// All metrics of a server.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) batches_active: IntGauge,
    /// `FetchBatch` calls, by the gRPC code they ended with.
    pub(crate) batches: IntCounterVec,
    /// Ended requests, by outcome. We look the counters up once in [`Metrics::new`] so
    /// that counting a request doesn't have to.
    fetches: Vec<(&'static str, IntCounter)>,
    /// Retries, by the failure of the previous attempt.
    pub(crate) retries: IntCounterVec,
    /// Response body bytes sent to callers.
    pub(crate) body_bytes: IntCounter,
    /// Fetches that are waiting for their caller to read.
    pub(crate) stalled: IntGauge,
    /// Requests denied by the egress policy, by rule.
    pub(crate) denied: IntCounterVec,
    /// 1 if a shutdown has begun, otherwise 0.
    pub(crate) draining: IntGauge,
    pub(crate) callers: Callers,
    pub(crate) tls_reloads: ReloadCounter,
    /// TLS handshakes with callers that failed or took too long.
    pub(crate) tls_handshake_failures: IntCounter,
    pub(crate) auth_reloads: ReloadCounter,
    fetch_duration: Histogram,
    queue_duration: Histogram,
    in_flight: IntGauge,
    queued: IntGauge,
    limit_waits: IntCounterVec,
}

/// Counts how often files were read again, by whether they could be used.
#[derive(Debug, Clone)]
pub(crate) struct ReloadCounter {
    ok: IntCounter,
    failed: IntCounter,
    /// 1 if what is in use is what the files have, otherwise 0.
    is_current: IntGauge,
}

/// All request outcomes: the status class, or the error reason.
const OUTCOMES: [&str; 20] = [
    "1xx",
    "2xx",
    "3xx",
    "4xx",
    "5xx",
    "none",
    "invalid_request",
    "blocked",
    "dns",
    "connect",
    "tls",
    "timeout",
    "too_many_redirects",
    "protocol",
    "disconnected",
    "decode",
    "body_too_large",
    "batch_deadline",
    "shutting_down",
    "internal",
];

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

/// The limits a request may have to wait for.
const LIMITS: [&str; 3] = ["batch", "host", "process"];

/// Histogram buckets in seconds. They range from a cached response to the default maximum
/// timeout.
const FETCH_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0,
];
const QUEUE_SECONDS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 600.0,
];

impl Metrics {
    /// Creates and registers all metrics. They all start at 0.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name, help| registered(&registry, IntGauge::new(name, help).expect(VALID));
        let counter = |name, help| registered(&registry, IntCounter::new(name, help).expect(VALID));
        let counters = |name, help, label| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label]);
            registered(&registry, counters.expect(VALID))
        };
        let histogram = |name, help, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(&registry, Histogram::with_opts(options).expect(VALID))
        };
        let process = registry.register(Box::new(ProcessCollector::for_self()));
        process.expect("no other metric is named process_*");
        let fetches = counters(
            "fetchd_fetches_total",
            "Requests that ended, by outcome",
            "outcome",
        );
        let reloads = |(name, help), (current, current_help)| {
            ReloadCounter::new(
                &counters(name, help, "result"),
                gauge(current, current_help),
            )
        };
        let metrics = Self {
            batches_active: gauge("fetchd_batches_active", "Open batches"),
            batches: counters("fetchd_batches_total", "Calls by gRPC code", "code"),
            fetches: OUTCOMES
                .iter()
                .map(|outcome| (*outcome, fetches.with_label_values(&[*outcome])))
                .collect(),
            retries: counters(
                "fetchd_retries_total",
                "Attempts after the first, by the failure of the attempt before",
                "cause",
            ),
            body_bytes: counter(
                "fetchd_body_bytes_total",
                "Bytes of response bodies sent to callers",
            ),
            stalled: gauge(
                "fetchd_stalled",
                "Fetches that wait for their caller to read",
            ),
            denied: counters(
                "fetchd_egress_denied_total",
                "Requests that the egress policy denied, by rule",
                "rule",
            ),
            draining: gauge("fetchd_draining", "1 once a shutdown has begun"),
            callers: Callers::new(|name, help| counters(name, help, "caller")),
            tls_reloads: reloads(
                (
                    "fetchd_tls_reloads_total",
                    "Changes of the files for TLS, by whether they could be used",
                ),
                (
                    "fetchd_tls_last_reload_successful",
                    "0 if the files for TLS have changed and cannot be used",
                ),
            ),
            tls_handshake_failures: counter(
                "fetchd_tls_handshake_failures_total",
                "TLS handshakes with callers that failed",
            ),
            auth_reloads: reloads(
                (
                    "fetchd_auth_reloads_total",
                    "Changes of the token file, by whether it could be used",
                ),
                (
                    "fetchd_auth_last_reload_successful",
                    "0 if the token file has changed and cannot be used",
                ),
            ),
            fetch_duration: histogram(
                "fetchd_fetch_duration_seconds",
                "From the first dispatch of a request to its end",
                &FETCH_SECONDS,
            ),
            queue_duration: histogram(
                "fetchd_queue_duration_seconds",
                "Total time that a request waited for a slot",
                &QUEUE_SECONDS,
            ),
            in_flight: gauge("fetchd_fetches_in_flight", "Requests that have a slot"),
            queued: gauge("fetchd_fetches_queued", "Requests that wait for a slot"),
            limit_waits: counters(
                "fetchd_limit_waits_total",
                "Requests that waited for a slot, by limit",
                "limit",
            ),
            registry,
        };
        metrics.create_series();
        metrics
    }

    /// Creates the series whose labels we know, so that they're exposed even before the
    /// first call ends. `rate` and `increase` can't see a counter's first value.
    fn create_series(&self) {
        for limit in LIMITS {
            self.limit_waits.with_label_values(&[limit]);
        }
        for code in CODES {
            self.batches.with_label_values(&[code]);
        }
    }

    /// Counts a request that ended with `outcome`, which should be one of [`OUTCOMES`].
    pub(crate) fn count_fetch(&self, outcome: &str) {
        let counter = self.fetches.iter().find(|(name, _)| *name == outcome);
        if let Some((_, counter)) = counter {
            counter.inc();
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

    /// Updates the gate metrics from its counts.
    pub(crate) fn note_gate(&self, counts: gate::Counts) {
        let gauge = |count| i64::try_from(count).unwrap_or(i64::MAX);
        self.queued.set(gauge(counts.waiting));
        self.in_flight.set(gauge(counts.in_flight));
        let waits = counts.waits;
        for (limit, count) in [
            ("batch", waits.batch),
            ("host", waits.host),
            ("process", waits.process),
        ] {
            let counter = self.limit_waits.with_label_values(&[limit]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }

    /// Renders all metrics in the Prometheus text format.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "encoding the metrics failed");
        }
        text
    }
}

impl ReloadCounter {
    fn new(counters: &IntCounterVec, is_current: IntGauge) -> Self {
        is_current.set(1);
        Self {
            ok: counters.with_label_values(&["ok"]),
            failed: counters.with_label_values(&["error"]),
            is_current,
        }
    }

    /// Counts that files were read again.
    pub(crate) fn count(&self, is_ok: bool) {
        let counter = if is_ok { &self.ok } else { &self.failed };
        counter.inc();
        self.is_current.set(i64::from(is_ok));
    }
}

const VALID: &str = "the names of metrics and labels are valid";

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    let boxed = Box::new(metric.clone());
    registry
        .register(boxed)
        .expect("every metric has a name of its own");
    metric
}
