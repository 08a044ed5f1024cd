//! Amounts that are read when the metrics are, and not counted as they change.

use prometheus::{IntCounter, IntGauge};

use super::{
    counters::{self, Counters},
    registry::Families,
};
use crate::{config::Limits, gate, retry};

/// The state of a server at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) gate: gate::Counts,
    pub(crate) callers: Connections,
    pub(crate) origins: Connections,
    /// The batches that `--max-batches` limits.
    pub(crate) batches: usize,
    /// The bytes that `--max-queued-bytes` limits.
    pub(crate) queued_bytes: usize,
    pub(crate) retry_budgets: retry::BudgetCounts,
}

/// How many connections there are on one side of the service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connections {
    /// With an open batch, or with an exchange.
    pub(crate) active: usize,
    /// All others.
    pub(crate) idle: usize,
}

/// The metrics of the last [`Sample`].
pub(super) struct Sampled {
    in_flight: IntGauge,
    queued: IntGauge,
    limit_waits: Counters,
    batches: IntGauge,
    callers: ConnectionGauges,
    origins: ConnectionGauges,
    queued_bytes: IntGauge,
    budgets_available: IntGauge,
    budgets_exhausted: IntGauge,
    retries_denied: IntCounter,
}

struct ConnectionGauges {
    active: IntGauge,
    idle: IntGauge,
}

/// The limits a request may have to wait for.
const WAITS: [&str; 3] = ["batch", "host", "process"];

impl Sampled {
    pub(super) fn new(families: &Families) -> Self {
        let connections = families.gauges(
            "fetchd_connections",
            "Connections, active if they have an open batch or an exchange with an origin",
            &["side", "state"],
        );
        let on_side = |side| ConnectionGauges {
            active: connections.with_label_values(&[side, "active"]),
            idle: connections.with_label_values(&[side, "idle"]),
        };
        let budgets = families.gauges(
            "fetchd_retry_budget",
            "Retry budgets of a caller and a host, exhausted if denied a retry in the last 10 s",
            &["state"],
        );
        Self {
            in_flight: families.gauge("fetchd_fetches_in_flight", "Requests that have a slot"),
            queued: families.gauge("fetchd_fetches_queued", "Requests that wait for a slot"),
            limit_waits: Counters::new(
                families.counters(
                    "fetchd_limit_waits_total",
                    "Requests that waited for a slot, by limit",
                    "limit",
                ),
                WAITS,
            ),
            batches: families.gauge("fetchd_batches_active", "Open batches"),
            callers: on_side("caller"),
            origins: on_side("origin"),
            queued_bytes: families.gauge(
                "fetchd_queued_bytes",
                "Bytes of request messages that the process holds",
            ),
            budgets_available: budgets.with_label_values(&["available"]),
            budgets_exhausted: budgets.with_label_values(&["exhausted"]),
            retries_denied: families.counter(
                "fetchd_retries_denied_total",
                "Retries that were not made because their budget was exhausted",
            ),
        }
    }

    pub(super) fn update(&self, sample: &Sample) {
        set(&self.in_flight, sample.gate.in_flight);
        set(&self.queued, sample.gate.waiting);
        let waits = sample.gate.waits;
        for (limit, total) in WAITS
            .into_iter()
            .zip([waits.batch, waits.host, waits.process])
        {
            self.limit_waits.raise(limit, total);
        }
        set(&self.batches, sample.batches);
        self.callers.set(sample.callers);
        self.origins.set(sample.origins);
        set(&self.queued_bytes, sample.queued_bytes);
        let budgets = sample.retry_budgets;
        set(&self.budgets_available, budgets.available);
        set(&self.budgets_exhausted, budgets.exhausted);
        counters::raise(&self.retries_denied, budgets.denied);
    }
}

impl ConnectionGauges {
    fn set(&self, connections: Connections) {
        set(&self.active, connections.active);
        set(&self.idle, connections.idle);
    }
}

/// Exposes the limits that other metrics approach, by the names of their flags.
pub(super) fn expose_limits(families: &Families, limits: &Limits) {
    let gauges = families.gauges("fetchd_limit", "Limits of the process, by flag", &["limit"]);
    for (flag, limit) in [
        ("max-in-flight", limits.max_in_flight as usize),
        ("max-batches", limits.batches() as usize),
        ("max-queued-bytes", limits.max_queued_bytes),
        ("max-connections", limits.max_connections as usize),
    ] {
        set(&gauges.with_label_values(&[flag]), limit);
    }
}

fn set(gauge: &IntGauge, amount: usize) {
    gauge.set(i64::try_from(amount).unwrap_or(i64::MAX));
}
