//! A replica's share of a list.

/// This is a divisor: a replica may get up to 1/4 more than its fair share.
const EXTRA_SHARE: usize = 4;

/// Returns a replica's fair share of a list's `concurrency`, if there are `count` replicas.
/// It's rounded up, so it's at least 1 unless the concurrency is 0.
pub fn fair_share(concurrency: usize, count: usize) -> usize {
    concurrency.div_ceil(count.max(1))
}

/// Returns how many requests a replica may have at once, if this is its `fair` share. It's
/// rounded up, so it's at least one more than the share.
pub fn max_share(fair: usize) -> usize {
    fair + fair.div_ceil(EXTRA_SHARE)
}
