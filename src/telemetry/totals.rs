//! The values of some metrics, for the admin page.

use prometheus::{core::Metric as _, proto::Bucket};

use super::{Metrics, registry::SECONDS};

/// How often each outcome and each duration has occurred so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Totals {
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
        let outcomes = self.outcomes.iter().zip(&earlier.outcomes);
        let outcomes = outcomes
            .map(|((outcome, later), (_, earlier))| (*outcome, later.saturating_sub(*earlier)));
        Self {
            outcomes: outcomes.collect(),
            durations: std::array::from_fn(|place| {
                self.durations[place].saturating_sub(earlier.durations[place])
            }),
        }
    }
}

impl Metrics {
    /// Returns the current values of the metrics of requests.
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
    fn totals_are_counts_per_outcome_and_duration() {
        let metrics = Metrics::new(&Limits::default());
        let before = metrics.totals();
        metrics.fetches.inc("2xx");
        for ms in [1, 5, 5, 700_000] {
            metrics.note_times(Duration::ZERO, Some(Duration::from_millis(ms)));
        }
        let added = metrics.totals().since(&before);
        let mut durations = [0; SECONDS.len() + 1];
        (durations[0], durations[2], durations[17]) = (1, 2, 1);
        assert_eq!(added.durations, durations);
        let counted = added.outcomes.into_iter().filter(|(_, count)| *count > 0);
        assert_eq!(counted.collect::<Vec<_>>(), [("2xx", 1)]);
    }
}
