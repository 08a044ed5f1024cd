//! Counts how many requests are at the gate, for the metrics.

use super::batch::Limit;

/// How many requests are at a gate.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Requests waiting for a slot.
    pub(crate) waiting: usize,
    /// Requests holding a slot.
    pub(crate) in_flight: usize,
    /// Requests that have had to wait so far.
    pub(crate) waits: Waits,
}

/// How many requests have had to wait so far, by the limit they waited for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Waits {
    /// Waited for their batch's concurrency.
    pub(crate) batch: u64,
    /// Waited for their host's limit.
    pub(crate) host: u64,
    /// Waited for a slot of the process.
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
