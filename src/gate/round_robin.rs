//! Whose turn it is: the callers in turn, and the batches of each in turn.

use std::collections::{BTreeMap, VecDeque};

use super::state::BatchId;
use crate::caller::Caller;

/// The batches that wait for a shared slot.
#[derive(Default)]
pub(super) struct RoundRobin {
    /// The callers that have batches here.
    callers: VecDeque<Caller>,
    /// The batches of each of `callers`; none of the lists is empty.
    batches: BTreeMap<Caller, VecDeque<BatchId>>,
}

impl RoundRobin {
    /// Adds a batch of `caller` at the end.
    pub(super) fn push(&mut self, caller: Caller, batch: BatchId) {
        let batches = self.batches.entry(caller).or_default();
        if batches.is_empty() {
            self.callers.push_back(caller);
        }
        batches.push_back(batch);
    }

    /// Removes the next batch that `is_allowed` accepts. The others keep their
    /// places.
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

    /// Returns the position of the next caller with a batch that `is_allowed` accepts,
    /// and the position of that batch among the batches of the caller.
    fn find(&self, is_allowed: impl Fn(BatchId) -> bool) -> Option<(usize, usize)> {
        for (position, caller) in self.callers.iter().enumerate() {
            let mut batches = self.batches[caller].iter();
            if let Some(batch) = batches.position(|batch| is_allowed(*batch)) {
                return Some((position, batch));
            }
        }
        None
    }

    /// Removes `batch` of `caller`.
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

    /// Returns true if a batch of a caller other than `caller` waits.
    pub(super) fn has_other(&self, caller: Caller) -> bool {
        self.callers.iter().any(|waiting| *waiting != caller)
    }
}
