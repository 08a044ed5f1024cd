//! The slots of the process, and how many each caller holds.

use super::{Capacity, batch::BatchState};

/// The slots of the process.
pub(super) struct Slots {
    /// The number of shared slots, taken or free.
    total_shared: usize,
    /// Free shared slots.
    pub(super) shared: usize,
    /// When no more shared slots than these are free, they go only to callers that
    /// hold fewer than this many.
    pub(super) headroom: usize,
    /// Free reserved slots. There is one for each batch that may be open.
    pub(super) reserved: usize,
}

/// The slots that the batches of one caller hold together.
#[derive(Debug, Default)]
pub(super) struct CallerUsage {
    /// The number of its batches.
    pub(super) batches: usize,
    /// The caller is the process itself.
    pub(super) is_self: bool,
    /// Its shared slots.
    pub(super) shared: usize,
    /// Its shared slots, without those of stalled batches.
    pub(super) active: usize,
    /// Its borrowed slots.
    pub(super) borrowed: usize,
}

/// The kind of slot that a request takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The slot that is reserved for its batch.
    Reserved,
    /// A slot that all batches share.
    Shared,
    /// A slot that is reserved for a batch that is not open yet.
    Borrowed,
}

/// One caller leaves one in this many shared slots to the others, but at most one for
/// each batch that may be open.
const HEADROOM_SHARE: usize = 32;

impl Slots {
    pub(super) fn new(capacity: Capacity) -> Self {
        let shared = capacity.slots.saturating_sub(capacity.reserved);
        Self {
            total_shared: shared,
            shared,
            headroom: (shared / HEADROOM_SHARE).min(capacity.reserved),
            reserved: capacity.reserved,
        }
    }

    /// Takes a slot for a request of `batch`, whose caller has `usage`: the reserved
    /// slot of the batch if it is free, or else a slot from `source`, which must have
    /// a free one.
    pub(super) fn take(&mut self, source: Source, batch: &mut BatchState, usage: &mut CallerUsage) {
        match source {
            _ if !batch.has_reserved && self.reserved > 0 => {
                self.reserved -= 1;
                batch.has_reserved = true;
            }
            Source::Shared => {
                self.shared -= 1;
                batch.shared += 1;
                usage.shared += 1;
                usage.active += 1;
            }
            Source::Reserved | Source::Borrowed => {
                self.reserved -= 1;
                batch.borrowed += 1;
                usage.borrowed += 1;
            }
        }
    }

    /// Frees a slot of `batch`, whose caller has `usage`: first a borrowed one, then a
    /// shared one, then the reserved one.
    pub(super) fn free(&mut self, batch: &mut BatchState, usage: &mut CallerUsage) {
        if batch.borrowed > 0 {
            batch.borrowed -= 1;
            usage.borrowed -= 1;
            self.reserved += 1;
        } else if batch.shared > 0 {
            batch.shared -= 1;
            usage.shared -= 1;
            usage.active -= usize::from(batch.may_share());
            self.shared += 1;
        } else {
            batch.has_reserved = false;
            self.reserved += 1;
        }
    }

    /// Returns the equal share of each of `callers` in the shared slots.
    pub(super) fn equal_share(&self, callers: usize) -> usize {
        (self.total_shared - self.headroom) / callers.max(1)
    }

    /// Returns true if the caller with `usage` may take one more shared slot. The
    /// process itself may take all of them.
    pub(super) fn may_share(&self, usage: &CallerUsage) -> bool {
        self.shared > self.headroom || usage.shared < self.headroom || usage.is_self
    }

    /// Returns true if the caller with `usage` may borrow a reserved slot while no
    /// shared slot is free: if it holds less than an `equal_share` of the shared
    /// slots, and at least twice as many reserved slots are free as it has borrowed.
    /// So a caller gets more than one slot for each of its batches, even if another
    /// caller took all shared slots.
    pub(super) fn may_borrow(&self, usage: &CallerUsage, equal_share: usize) -> bool {
        usage.active + usage.borrowed < equal_share && usage.borrowed < self.reserved / 2
    }
}
