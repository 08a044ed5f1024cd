//! Decides whose turn it is. That's the caller with the fewest slots, and then the next of
//! this caller's batches.

use std::collections::{BTreeMap, VecDeque};

use super::state::BatchKey;
use crate::caller::Caller;

/// Batches waiting for a shared slot.
#[derive(Default)]
pub(super) struct Turns {
    /// The callers that have batches in here.
    callers: BTreeMap<Caller, Waiting>,
    /// The same callers, by their places.
    order: BTreeMap<Place, Caller>,
    next_turn: u64,
}

/// A caller's waiting batches.
struct Waiting {
    place: Place,
    /// In turn. Never empty.
    batches: VecDeque<BatchKey>,
}

/// A caller's place in the order. Callers with fewer slots come first, and those with
/// equally many take turns.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    /// How many slots all batches of the caller hold.
    held: usize,
    /// Goes up with each turn, so no two callers have the same place.
    turn: u64,
}

impl Turns {
    /// Adds a batch for `caller`, as the last of the caller's batches. The caller holds this
    /// many slots.
    pub(super) fn push(&mut self, caller: Caller, held: usize, batch: BatchKey) {
        if let Some(waiting) = self.callers.get_mut(&caller) {
            waiting.batches.push_back(batch);
        } else {
            self.insert(caller, held, VecDeque::from([batch]));
        }
    }

    /// Updates how many slots `caller` holds, if it has batches in here.
    pub(super) fn set_held(&mut self, caller: Caller, held: usize) {
        if let Some(waiting) = self.callers.get_mut(&caller) {
            self.order.remove(&waiting.place);
            waiting.place.held = held;
            self.order.insert(waiting.place, caller);
        }
    }

    /// Removes and returns the next batch that `is_allowed` accepts. Batches that it
    /// doesn't accept keep their place.
    pub(super) fn pop(&mut self, is_allowed: impl Fn(BatchKey) -> bool) -> Option<BatchKey> {
        let (caller, position) = self.find(is_allowed)?;
        let mut waiting = self.take(caller)?;
        let batch = waiting.batches.remove(position);
        if !waiting.batches.is_empty() {
            self.insert(caller, waiting.place.held, waiting.batches);
        }
        batch
    }

    /// Finds the next caller with a batch that `is_allowed` accepts, and the batch's
    /// position among the caller's batches.
    fn find(&self, is_allowed: impl Fn(BatchKey) -> bool) -> Option<(Caller, usize)> {
        self.order.values().find_map(|caller| {
            let mut batches = self.callers[caller].batches.iter();
            let position = batches.position(|batch| is_allowed(*batch))?;
            Some((*caller, position))
        })
    }

    /// Removes one of the caller's batches, if it's in here.
    pub(super) fn remove(&mut self, caller: Caller, batch: BatchKey) {
        let Some(waiting) = self.callers.get_mut(&caller) else {
            return;
        };
        waiting.batches.retain(|one| *one != batch);
        if waiting.batches.is_empty() {
            self.take(caller);
        }
    }

    /// Returns true if a caller other than `caller` has a batch waiting.
    pub(super) fn has_other(&self, caller: Caller) -> bool {
        self.callers.keys().any(|waiting| *waiting != caller)
    }

    /// Returns how many slots we think each caller holds, for tests.
    #[cfg(test)]
    pub(super) fn held(&self) -> impl Iterator<Item = (Caller, usize)> {
        assert_eq!(self.order.len(), self.callers.len());
        self.order
            .iter()
            .map(|(place, caller)| (*caller, place.held))
    }

    /// Adds a caller, as the last of those with equally many slots.
    fn insert(&mut self, caller: Caller, held: usize, batches: VecDeque<BatchKey>) {
        let turn = self.next_turn;
        self.next_turn += 1;
        let place = Place { held, turn };
        self.order.insert(place, caller);
        self.callers.insert(caller, Waiting { place, batches });
    }

    /// Removes a caller.
    fn take(&mut self, caller: Caller) -> Option<Waiting> {
        let waiting = self.callers.remove(&caller)?;
        self.order.remove(&waiting.place);
        Some(waiting)
    }
}
