//! The process's slots, and how many of them each caller holds.

use super::{Capacity, batch::BatchState};

/// The process's slots.
pub(super) struct Slots {
    /// How many shared slots there are in total, taken or free.
    total_shared: usize,
    /// Free shared slots.
    pub(super) shared: usize,
    /// When this many shared slots or fewer are free, a caller only gets one if it holds
    /// fewer than this many.
    pub(super) headroom: usize,
    /// Free reserved slots. In total, there's one for each batch that may be open.
    pub(super) reserved: usize,
}

/// How many slots a caller's batches hold, all together.
#[derive(Debug, Default)]
pub(super) struct CallerUsage {
    /// How many batches the caller has.
    pub(super) batches: usize,
    /// Whether the caller is the process itself.
    pub(super) is_self: bool,
    /// All slots held by the caller.
    pub(super) held: usize,
    /// Shared slots held by the caller.
    pub(super) shared: usize,
    /// Same as `shared`, but not counting stalled batches.
    pub(super) active: usize,
    /// Borrowed slots held by the caller.
    pub(super) borrowed: usize,
}

/// Where a request's slot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    /// The slot reserved for its batch.
    Reserved,
    /// One of the slots shared by all batches.
    Shared,
    /// A slot reserved for a batch that isn't open yet.
    Borrowed,
}

/// A single caller leaves 1/32 of the shared slots to the others, but never more than one
/// for each batch that may be open.
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

    /// Takes a slot for a request in `batch`. If the batch's reserved slot is free, we
    /// use that. Otherwise we use one from `source`, which must have a free slot. `usage`
    /// must be the usage of the batch's caller.
    pub(super) fn take(&mut self, source: Source, batch: &mut BatchState, usage: &mut CallerUsage) {
        usage.held += 1;
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

    /// Frees one of the slots of `batch`. We free borrowed slots first, then shared ones,
    /// and the reserved one last. `usage` must be the usage of the batch's caller.
    pub(super) fn free(&mut self, batch: &mut BatchState, usage: &mut CallerUsage) {
        usage.held -= 1;
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

    /// Returns how many shared slots each caller would get if we split them equally.
    pub(super) fn equal_share(&self, callers: usize) -> usize {
        (self.total_shared - self.headroom) / callers.max(1)
    }

    /// Returns true if the caller with this usage may take another shared slot. The
    /// process itself may take all of them.
    pub(super) fn may_share(&self, usage: &CallerUsage) -> bool {
        self.shared > self.headroom || usage.shared < self.headroom || usage.is_self
    }

    /// Returns true if the caller with this usage may borrow a reserved slot. This is for
    /// when it can't get a shared one.
    ///
    /// The caller must hold less than `equal_share` slots, not counting the shared ones of
    /// stalled batches. Also, at least twice as many reserved slots must be free as the
    /// caller has borrowed. This way, a caller gets more than one slot per batch, even if
    /// another caller took all shared slots.
    pub(super) fn may_borrow(&self, usage: &CallerUsage, equal_share: usize) -> bool {
        let stalled = usage.shared - usage.active;
        usage.held - stalled < equal_share && usage.borrowed < self.reserved / 2
    }
}
