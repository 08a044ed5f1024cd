//! What the service does, in figures: every metric's name and labels, once.
//! Labels come from closed sets: never a URL, a host or a caller.

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    core::Collector, process_collector::ProcessCollector,
};

use crate::gate;

/// The metrics of one server.
pub(crate) struct Metrics {
    registry: Registry,
    /// Batches under way.
    pub(crate) batches_active: IntGauge,
    /// Calls by the gRPC code that they ended with.
    pub(crate) batches: IntCounterVec,
    /// Requests that ended, by their outcome, each of which is looked up once.
    fetches: Vec<(&'static str, IntCounter)>,
    /// Attempts after the first, by what the one before met.
    pub(crate) retries: IntCounterVec,
    /// Of bodies, as sent to callers.
    pub(crate) body_bytes: IntCounter,
    /// Fetches that wait for their caller to read.
    pub(crate) stalled: IntGauge,
    /// Requests that the egress policy denied, by its rule.
    pub(crate) denied: IntCounterVec,
    /// 1 from the beginning of a shutdown on.
    pub(crate) draining: IntGauge,
    fetch_duration: Histogram,
    queue_duration: Histogram,
    in_flight: IntGauge,
    queued: IntGauge,
    limit_waits: IntCounterVec,
}

/// What becomes of requests: the class of a status, or a reason.
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

/// The limits that requests wait for.
const LIMITS: [&str; 3] = ["batch", "host", "process"];

/// Seconds: from what a cache answers to the longest timeout.
const FETCH_SECONDS: [f64; 14] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 600.0,
];
const QUEUE_SECONDS: [f64; 12] = [
    0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 600.0,
];

impl Metrics {
    /// All metrics, at 0.
    pub(crate) fn new() -> Self {
        let registry = Registry::new();
        let gauge = |name, help| registered(&registry, IntGauge::new(name, help).expect(LEGAL));
        let counters = |name, help, label| {
            let counters = IntCounterVec::new(Opts::new(name, help), &[label]);
            registered(&registry, counters.expect(LEGAL))
        };
        let histogram = |name, help, buckets: &[f64]| {
            let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            registered(&registry, Histogram::with_opts(options).expect(LEGAL))
        };
        let body_bytes = IntCounter::new(
            "fetchd_body_bytes_total",
            "Bytes of bodies, as sent to callers",
        );
        let process = registry.register(Box::new(ProcessCollector::for_self()));
        process.expect("no metric of ours is named after the process");
        let fetches = counters(
            "fetchd_fetches_total",
            "Requests that ended, by outcome",
            "outcome",
        );
        let metrics = Self {
            batches_active: gauge("fetchd_batches_active", "Batches under way"),
            batches: counters("fetchd_batches_total", "Calls by gRPC code", "code"),
            fetches: OUTCOMES
                .iter()
                .map(|outcome| (*outcome, fetches.with_label_values(&[*outcome])))
                .collect(),
            retries: counters(
                "fetchd_retries_total",
                "Further attempts, by what the one before met",
                "cause",
            ),
            body_bytes: registered(&registry, body_bytes.expect(LEGAL)),
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
            fetch_duration: histogram(
                "fetchd_fetch_duration_seconds",
                "From the first dispatch of a request to its end",
                &FETCH_SECONDS,
            ),
            queue_duration: histogram(
                "fetchd_queue_duration_seconds",
                "All waits of a request for a slot together",
                &QUEUE_SECONDS,
            ),
            in_flight: gauge("fetchd_fetches_in_flight", "Requests that have a slot"),
            queued: gauge("fetchd_fetches_queued", "Requests that wait for a slot"),
            limit_waits: counters(
                "fetchd_limit_waits_total",
                "Requests that waited for room, by the limit",
                "limit",
            ),
            registry,
        };
        // Seen before they first move.
        for limit in LIMITS {
            metrics.limit_waits.with_label_values(&[limit]);
        }
        metrics
    }

    /// Counts a request that ended, by its outcome.
    pub(crate) fn count_fetch(&self, outcome: &str) {
        let counter = self.fetches.iter().find(|(name, _)| *name == outcome);
        if let Some((_, counter)) = counter {
            counter.inc();
        }
    }

    /// Notes how long a request waited, and how long it took where it was
    /// dispatched.
    pub(crate) fn note_times(&self, queued: Duration, total: Option<Duration>) {
        self.queue_duration.observe(queued.as_secs_f64());
        if let Some(total) = total {
            self.fetch_duration.observe(total.as_secs_f64());
        }
    }

    /// Sets the metrics of the gate to its counts.
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

    /// All metrics in the text format of Prometheus.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(%error, "the metrics cannot be written");
        }
        text
    }
}

const LEGAL: &str = "the names of metrics and labels are legal";

fn registered<C: Collector + Clone + 'static>(registry: &Registry, metric: C) -> C {
    let boxed = Box::new(metric.clone());
    registry.register(boxed).expect("every name is there once");
    metric
}
