//! The values of some metrics, for the admin page.

use prometheus::{core::Metric as _, proto::Bucket};

use super::{Metrics, registry::SECONDS};

/// How often each code, each outcome and each duration has occurred so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Ended calls, by gRPC code. All totals have the same codes in the same order.
    pub(crate) calls: Vec<(&'static str, u64)>,
    /// Ended requests, by outcome. All totals have the same outcomes in the same order.
    pub(crate) outcomes: Vec<(&'static str, u64)>,
    /// Dispatched requests that have ended, by duration: those up to each of
    /// [`Totals::DURATIONS`] that are longer than the previous one, and then all longer
    /// ones.
    pub(crate) durations: [u64; SECONDS.len() + 1],
}

impl Totals {
    /// The upper bounds of the durations, in seconds, ascending.
    pub(crate) const DURATIONS: [f64; SECONDS.len()] = SECONDS;

    /// Returns the counts since `earlier`.
    #[must_use]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        Self {
            calls: added(&self.calls, &earlier.calls),
            outcomes: added(&self.outcomes, &earlier.outcomes),
            durations: std::array::from_fn(|place| {
                self.durations[place].saturating_sub(earlier.durations[place])
            }),
        }
    }
}

/// Returns the counts of `later` less those of `earlier`.
fn added(
    later: &[(&'static str, u64)],
    earlier: &[(&'static str, u64)],
) -> Vec<(&'static str, u64)> {
    let counts = later.iter().zip(earlier);
    counts
        .map(|((label, later), (_, earlier))| (*label, later.saturating_sub(*earlier)))
        .collect()
}

impl Metrics {
    /// Returns the current values of the metrics of calls and requests.
    pub(crate) fn totals(&self) -> Totals {
        let metric = self.fetch_duration.metric();
        let histogram = metric.get_histogram();
        let up_to = histogram.get_bucket().iter().map(Bucket::cumulative_count);
        let up_to = up_to.chain([histogram.get_sample_count()]);
        let mut durations = [0; SECONDS.len() + 1];
        let mut shorter = 0;
        for (count, up_to) in durations.iter_mut().zip(up_to) {
            *count = up_to.saturating_sub(shorter);
            shorter = up_to;
        }
        Totals {
            calls: self.batches.totals(),
            outcomes: self.fetches.totals(),
            durations,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Limits;

    #[test]
    fn totals_are_counts_per_code_outcome_and_duration() {
        let metrics = Metrics::new(&Limits::default());
        let before = metrics.totals();
        metrics.batches.inc("INTERNAL");
        metrics.fetches.inc("2xx");
        for ms in [1, 5, 5, 700_000] {
            metrics.note_times(Duration::ZERO, Some(Duration::from_millis(ms)));
        }
        let added = metrics.totals().since(&before);
        let mut durations = [0; SECONDS.len() + 1];
        (durations[0], durations[2], durations[17]) = (1, 2, 1);
        assert_eq!(added.durations, durations);
        let counted = added.calls.into_iter().chain(added.outcomes);
        let counted = counted.filter(|(_, count)| *count > 0);
        assert_eq!(counted.collect::<Vec<_>>(), [("INTERNAL", 1), ("2xx", 1)]);
    }
}
