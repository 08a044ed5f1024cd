//! The summary of the whole list in the page.

use std::{
    collections::BTreeMap,
    time::{SystemTime, UNIX_EPOCH},
};

use fetchd::client::Error;
use serde::Serialize;

use crate::cli::get::{
    phases::micros,
    summary::{Remaining, Summary},
};

/// The summary of the list. Times are in microseconds.
#[derive(Serialize)]
pub(super) struct Digest<'a> {
    version: &'static str,
    /// Since 1970.
    began: u64,
    wall: u64,
    done: u64,
    failed: u64,
    /// Number of rows in the page.
    rows: u64,
    remaining: u64,
    /// True if we didn't read the input to its end.
    has_more: bool,
    /// Number of outcomes per status class or error reason.
    counts: &'a BTreeMap<String, u64>,
    bytes: u64,
    p50: u64,
    p90: u64,
    p99: u64,
    slowest: u64,
    histogram: Vec<Bucket>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Number of requests that took at least `from`, and less than `to`.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Bucket {
    from: u64,
    to: u64,
    count: u64,
}

/// The bounds of buckets, for each power of ten.
const BOUNDS: [u64; 6] = [10, 15, 20, 30, 50, 70];

impl<'a> Digest<'a> {
    pub(super) fn new(
        began: SystemTime,
        rows: u64,
        summary: &'a Summary,
        remaining: Remaining,
        call_error: Option<&Error>,
    ) -> Self {
        let percentile = |percent| summary.percentile(percent).map_or(0, micros);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            began: began.duration_since(UNIX_EPOCH).map_or(0, micros),
            wall: micros(summary.elapsed()),
            done: summary.done(),
            failed: summary.failed(),
            rows,
            remaining: remaining.count,
            has_more: remaining.has_more,
            counts: summary.counts(),
            bytes: summary.bytes(),
            p50: percentile(50),
            p90: percentile(90),
            p99: percentile(99),
            slowest: percentile(100),
            histogram: histogram(summary.durations()),
            error: call_error.map(Error::to_string),
        }
    }
}

/// Returns the buckets of durations from the first to the last that isn't empty. Each
/// duration comes with the number of requests that took as long.
fn histogram(durations: impl Iterator<Item = (u64, u64)>) -> Vec<Bucket> {
    /// Durations above a day count as a day.
    const MAX_EXPONENT: u32 = 10;

    let bounds =
        (0..=MAX_EXPONENT).flat_map(|exponent| BOUNDS.map(|bound| bound * 10_u64.pow(exponent)));
    let bounds: Vec<_> = [0].into_iter().chain(bounds).collect();
    let buckets = bounds.windows(2).map(|bounds| Bucket {
        from: bounds[0],
        to: bounds[1],
        count: 0,
    });
    let mut buckets: Vec<_> = buckets.collect();
    for (duration, count) in durations {
        let place = buckets.partition_point(|bucket| bucket.to <= duration);
        let last = buckets.len() - 1;
        buckets[place.min(last)].count += count;
    }
    let first = buckets.iter().position(|bucket| bucket.count > 0);
    buckets.drain(..first.unwrap_or(buckets.len()));
    while buckets.pop_if(|bucket| bucket.count == 0).is_some() {}
    buckets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histogram_begins_and_ends_with_a_request() {
        let durations = [(1_000, 1), (1_499, 2), (1_500, 1), (4_000, 5)];
        let buckets = histogram(durations.into_iter());
        let counts: Vec<_> = buckets.iter().map(|bucket| bucket.count).collect();
        assert_eq!(counts, [3, 1, 0, 5]);
        assert_eq!((buckets[0].from, buckets[3].to), (1_000, 5_000));
        assert_eq!(histogram(std::iter::empty()), []);
        assert_eq!(histogram([(u64::MAX, 1)].into_iter())[0].count, 1);
    }
}
