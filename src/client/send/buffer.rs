//! The outcomes of a list that wait for the caller.

use std::collections::{BTreeSet, VecDeque};

use crate::client::{Error, Outcome};

/// The requests without an outcome, and the outcomes that wait for the caller. Each
/// request gets exactly one.
#[derive(Debug, Default)]
pub(super) struct OutcomeBuffer {
    /// The positions of the requests that have no outcome.
    open: BTreeSet<usize>,
    ready: VecDeque<Outcome>,
}

/// The number of waiting outcomes at which the intake stops.
const MAX_READY: usize = 1024;

impl OutcomeBuffer {
    /// Adds a request.
    pub(super) fn open(&mut self, position: usize) {
        self.open.insert(position);
    }

    /// Adds the outcome of a request.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        let is_first = self.open.remove(&outcome.index);
        debug_assert!(is_first, "a second outcome of request {}", outcome.index);
        if is_first {
            self.ready.push_back(outcome);
        }
    }

    /// Ends every request that has no outcome.
    pub(super) fn fail_all(&mut self, error: &Error) {
        let open = std::mem::take(&mut self.open).into_iter();
        self.ready
            .extend(open.map(|position| Outcome::failed(position, error.clone())));
    }

    /// Takes the next outcome for the caller.
    pub(super) fn pop(&mut self) -> Option<Outcome> {
        self.ready.pop_front()
    }

    /// Returns true if every request has its outcome.
    pub(super) fn is_complete(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns true if an outcome waits for the caller.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns true if further requests may be added.
    pub(super) fn has_room(&self) -> bool {
        self.ready.len() < MAX_READY
    }
}
