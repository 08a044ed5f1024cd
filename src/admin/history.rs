//! The last 15 minutes, from snapshots of metrics that exist anyway. So a fetch costs
//! nothing extra.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::Serialize;
use tokio::time::Instant;

use super::status::seconds;
use crate::{
    gate,
    telemetry::{self, Totals},
};

/// Snapshots of the metrics, oldest first. Never empty.
pub(super) struct History(VecDeque<Snapshot>);

/// The values of the metrics at one moment.
#[derive(Clone)]
pub(super) struct Snapshot {
    pub(super) at: Instant,
    pub(super) totals: Totals,
    pub(super) state: telemetry::Sample,
}

/// The history as it's written to JSON. All lists have one entry for each interval, oldest
/// first.
#[derive(Serialize)]
pub(super) struct Intervals {
    interval_s: Vec<f64>,
    calls: ByLabel,
    outcomes: ByLabel,
    latency: Vec<Latency>,
    overall_latency: Latency,
    in_flight: Vec<usize>,
    queued: Vec<usize>,
    waits: Waits,
}

/// A count for each interval, by a label. Labels that didn't occur are left out.
type ByLabel = BTreeMap<&'static str, Vec<u64>>;

/// Quantiles of how long requests took, as the upper bounds of their buckets. `None` if
/// there were no requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Latency {
    #[serde(rename = "p50_s")]
    p50: Option<f64>,
    #[serde(rename = "p90_s")]
    p90: Option<f64>,
    #[serde(rename = "p99_s")]
    p99: Option<f64>,
}

#[derive(Serialize)]
struct Waits {
    batch: Vec<u64>,
    host: Vec<u64>,
    process: Vec<u64>,
}

/// The time between two snapshots.
pub(super) const INTERVAL: Duration = Duration::from_secs(10);

/// The maximum number of snapshots, and thus of intervals. This makes 15 minutes.
const MAX_SNAPSHOTS: usize = 90;

/// The last bound of a duration, in seconds.
const LONGEST: f64 = Totals::DURATIONS[Totals::DURATIONS.len() - 1];

impl History {
    pub(super) fn new(first: Snapshot) -> Self {
        Self(VecDeque::from([first]))
    }

    /// Adds a snapshot. If there are too many, the oldest one is dropped.
    pub(super) fn push(&mut self, snapshot: Snapshot) {
        if self.0.len() == MAX_SNAPSHOTS {
            self.0.pop_front();
        }
        self.0.push_back(snapshot);
    }

    /// Returns the intervals between the snapshots, and the one from the last until
    /// `now`.
    pub(super) fn until(&self, now: &Snapshot) -> Intervals {
        let ends: Vec<_> = self.0.iter().skip(1).chain([now]).collect();
        let intervals: Vec<_> = self.0.iter().zip(ends.iter().copied()).collect();
        let added: Vec<_> = intervals
            .iter()
            .map(|(start, end)| end.totals.since(&start.totals))
            .collect();
        let oldest = self.0.front().unwrap_or(now);
        let overall = now.totals.since(&oldest.totals);
        let waits = |count: fn(&gate::Waits) -> u64| {
            let waits = intervals.iter().map(|(start, end)| {
                count(&end.state.gate.waits).saturating_sub(count(&start.state.gate.waits))
            });
            waits.collect()
        };
        Intervals {
            interval_s: intervals
                .iter()
                .map(|(start, end)| seconds(end.at.saturating_duration_since(start.at)))
                .collect(),
            calls: by_label(&added, |totals| &totals.calls),
            outcomes: by_label(&added, |totals| &totals.outcomes),
            latency: added.iter().map(Latency::of).collect(),
            overall_latency: Latency::of(&overall),
            in_flight: ends.iter().map(|end| end.state.gate.in_flight).collect(),
            queued: ends.iter().map(|end| end.state.gate.waiting).collect(),
            waits: Waits {
                batch: waits(|waits| waits.batch),
                host: waits(|waits| waits.host),
                process: waits(|waits| waits.process),
            },
        }
    }
}

fn by_label(added: &[Totals], counts: fn(&Totals) -> &[(&'static str, u64)]) -> ByLabel {
    let mut labels = ByLabel::new();
    for (interval, totals) in added.iter().enumerate() {
        for (label, count) in counts(totals).iter().filter(|(_, count)| *count > 0) {
            let of_label = labels.entry(label).or_insert_with(|| vec![0; added.len()]);
            of_label[interval] = *count;
        }
    }
    labels
}

impl Latency {
    fn of(totals: &Totals) -> Self {
        Self {
            p50: quantile(0.5, &totals.durations),
            p90: quantile(0.9, &totals.durations),
            p99: quantile(0.99, &totals.durations),
        }
    }
}

/// Returns the upper bound of the bucket that a quantile is in. Nothing more is known, since
/// all durations of a bucket may be equal. For the last bucket, which has no upper bound,
/// that's its lower one. Returns `None` if there are no durations.
fn quantile(quantile: f64, counts: &[u64]) -> Option<f64> {
    let as_f64 = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let total: u64 = counts.iter().sum();
    let rank = quantile * as_f64(total);
    let mut up_to = 0;
    for (count, upper) in counts.iter().zip(Totals::DURATIONS) {
        up_to += count;
        if *count > 0 && as_f64(up_to) >= rank {
            return Some(upper);
        }
    }
    (total > 0).then_some(LONGEST)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{config::Limits, telemetry::Metrics};

    fn snapshot(metrics: &Metrics, start: Instant, at: u64) -> Snapshot {
        Snapshot {
            at: start + Duration::from_secs(at),
            totals: metrics.totals(),
            state: telemetry::Sample::default(),
        }
    }

    #[test]
    fn intervals_have_the_differences_between_snapshots() {
        let (metrics, start) = (Metrics::new(&Limits::default()), Instant::now());
        // These are from before the first snapshot.
        metrics.fetches.inc("4xx");
        let mut history = History::new(snapshot(&metrics, start, 0));
        let end = |outcome, ms| {
            metrics.fetches.inc(outcome);
            metrics.note_times(Duration::ZERO, Some(Duration::from_millis(ms)));
        };
        end("2xx", 80);
        end("2xx", 80);
        end("timeout", 700);
        let mut busy = snapshot(&metrics, start, 10);
        busy.state.gate.in_flight = 7;
        busy.state.gate.waiting = 100;
        busy.state.gate.waits.host = 3;
        history.push(busy.clone());
        busy.at += Duration::from_secs(10);
        history.push(busy.clone());
        end("2xx", 80);
        metrics.batches.inc("RESOURCE_EXHAUSTED");
        let mut now = snapshot(&metrics, start, 24);
        now.state.gate.waits.host = 5;
        let intervals = serde_json::to_value(history.until(&now)).unwrap();
        let none = json!({"p50_s": null, "p90_s": null, "p99_s": null});
        let expected = json!({
            "interval_s": [10.0, 10.0, 4.0],
            "calls": {"RESOURCE_EXHAUSTED": [0, 0, 1]},
            "outcomes": {"2xx": [2, 0, 1], "timeout": [1, 0, 0]},
            "latency": [
                {"p50_s": 0.1, "p90_s": 1.0, "p99_s": 1.0},
                none,
                {"p50_s": 0.1, "p90_s": 0.1, "p99_s": 0.1},
            ],
            "overall_latency": {"p50_s": 0.1, "p90_s": 1.0, "p99_s": 1.0},
            "in_flight": [7, 7, 0],
            "queued": [100, 100, 0],
            "waits": {"batch": [0, 0, 0], "host": [3, 0, 2], "process": [0, 0, 0]},
        });
        assert_eq!(intervals, expected);
    }

    #[test]
    fn history_is_15_minutes_long() {
        let (metrics, start) = (Metrics::new(&Limits::default()), Instant::now());
        let mut history = History::new(snapshot(&metrics, start, 0));
        for number in 1..200 {
            history.push(snapshot(&metrics, start, 10 * number));
        }
        let intervals = history.until(&snapshot(&metrics, start, 10 * 200));
        assert_eq!(intervals.interval_s, vec![10.0; MAX_SNAPSHOTS]);
        assert!(intervals.outcomes.is_empty());
    }

    #[test]
    fn quantile_of_the_longest_durations_is_the_last_bound() {
        let mut counts = [0; Totals::DURATIONS.len() + 1];
        assert_eq!(quantile(0.5, &counts), None);
        counts[Totals::DURATIONS.len()] = 1;
        assert_eq!(quantile(0.5, &counts), Some(600.0));
    }
}
