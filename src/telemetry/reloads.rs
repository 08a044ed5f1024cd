//! Metrics of files that are read again when they change.

use prometheus::{IntCounter, IntGauge};

use super::registry::Families;

/// Counts how often files were read again, by whether they could be used.
#[derive(Debug, Clone)]
pub(crate) struct ReloadCounter {
    ok: IntCounter,
    failed: IntCounter,
    /// 1 if the files were usable when they were last read, otherwise 0.
    is_current: IntGauge,
}

impl ReloadCounter {
    /// Creates the metrics from the names and the help texts of the counter and the gauge.
    pub(super) fn new(
        families: &Families,
        (total, total_help): (&str, &str),
        (current, current_help): (&str, &str),
    ) -> Self {
        let results = families.counters(total, total_help, "result");
        let is_current = families.gauge(current, current_help);
        is_current.set(1);
        Self {
            ok: results.with_label_values(&["ok"]),
            failed: results.with_label_values(&["error"]),
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
