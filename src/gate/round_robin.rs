//! Decides whose turn it is. Callers take turns, and so do the batches of each caller.

use std::collections::{BTreeMap, VecDeque};

use super::state::BatchId;
use crate::caller::Caller;

/// Batches waiting for a shared slot.
#[derive(Default)]
pub(super) struct RoundRobin {
    /// The callers that have batches in here, in turn.
    callers: VecDeque<Caller>,
    /// Each caller's batches, in turn. None of these lists is ever empty.
    batches: BTreeMap<Caller, VecDeque<BatchId>>,
}

impl RoundRobin {
    /// Adds a batch for `caller`, as the last in turn.
    pub(super) fn push(&mut self, caller: Caller, batch: BatchId) {
        let batches = self.batches.entry(caller).or_default();
        if batches.is_empty() {
            self.callers.push_back(caller);
        }
        batches.push_back(batch);
    }

    /// Removes and returns the next batch that `is_allowed` accepts. Batches that it
    /// doesn't accept keep their place.
    pub(super) fn pop(&mut self, is_allowed: impl Fn(BatchId) -> bool) -> Option<BatchId> {
        let (position, batch) = self.find(is_allowed)?;
        let caller = self.callers.remove(position)?;
        let batches = self.batches.get_mut(&caller)?;
        let id = batches.remove(batch);
        if batches.is_empty() {
            self.batches.remove(&caller);
        } else {
            self.callers.push_back(caller);
        }
        id
    }

    /// Finds the next caller with a batch that `is_allowed` accepts. Returns the caller's
    /// position, and the batch's position among the caller's batches.
    fn find(&self, is_allowed: impl Fn(BatchId) -> bool) -> Option<(usize, usize)> {
        for (position, caller) in self.callers.iter().enumerate() {
            let mut batches = self.batches[caller].iter();
            if let Some(batch) = batches.position(|batch| is_allowed(*batch)) {
                return Some((position, batch));
            }
        }
        None
    }

    /// Removes one of the caller's batches, if it's in here.
    pub(super) fn remove(&mut self, caller: Caller, batch: BatchId) {
        let Some(batches) = self.batches.get_mut(&caller) else {
            return;
        };
        batches.retain(|waiting| *waiting != batch);
        if batches.is_empty() {
            self.batches.remove(&caller);
            self.callers.retain(|waiting| *waiting != caller);
        }
    }

    /// Returns true if a caller other than `caller` has a batch waiting.
    pub(super) fn has_other(&self, caller: Caller) -> bool {
        self.callers.iter().any(|waiting| *waiting != caller)
    }
}
