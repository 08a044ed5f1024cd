//! The counts of a gate, for the metrics.

use super::batch::Limit;

/// The requests at a gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests that wait for a slot.
    pub(crate) waiting: usize,
    /// Requests that have a slot.
    pub(crate) in_flight: usize,
    /// Requests that had to wait so far.
    pub(crate) waits: Waits,
}

/// How many requests had to wait so far, by the limit that they waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// The concurrency of their batch.
    pub(crate) batch: u64,
    /// The limit on their host.
    pub(crate) host: u64,
    /// The slots of the process.
    pub(crate) process: u64,
}

impl Waits {
    /// Counts a request that waited for `limit`.
    pub(super) fn count(&mut self, limit: Limit) {
        let count = match limit {
            Limit::Batch => &mut self.batch,
            Limit::Host => &mut self.host,
            Limit::Process => &mut self.process,
        };
        *count += 1;
    }
}
