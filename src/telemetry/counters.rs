//! Counters that differ in one label.

use prometheus::{IntCounter, IntCounterVec};

/// A counter for each value of a label, all of which are known.
///
/// The counters are looked up once, so that counting doesn't have to. They all start at 0:
/// `rate` and `increase` can't see a counter's first value.
pub(crate) struct Counters {
    family: IntCounterVec,
    known: Vec<(&'static str, IntCounter)>,
}

impl Counters {
    pub(super) fn new(
        family: IntCounterVec,
        values: impl IntoIterator<Item = &'static str>,
    ) -> Self {
        let counter = |value| (value, family.with_label_values(&[value]));
        Self {
            known: values.into_iter().map(counter).collect(),
            family,
        }
    }

    /// Adds 1 to the counter of `value`.
    pub(crate) fn inc(&self, value: &str) {
        self.get(value).inc();
    }

    /// Raises the counter of `value` to `total`, which was counted elsewhere.
    pub(super) fn raise(&self, value: &str, total: u64) {
        raise(&self.get(value), total);
    }

    /// Returns the known values and how often each was counted.
    pub(super) fn totals(&self) -> Vec<(&'static str, u64)> {
        let known = self.known.iter();
        known
            .map(|(value, counter)| (*value, counter.get()))
            .collect()
    }

    /// Returns the counter of `value`. It's looked up if the value isn't a known one.
    pub(crate) fn get(&self, value: &str) -> IntCounter {
        let known = self.known.iter().find(|(name, _)| *name == value);
        match known {
            Some((_, counter)) => counter.clone(),
            None => self.family.with_label_values(&[value]),
        }
    }
}

/// Raises `counter` to `total`.
pub(super) fn raise(counter: &IntCounter, total: u64) {
    counter.inc_by(total.saturating_sub(counter.get()));
}
