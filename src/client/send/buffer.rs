//! Buffers a list's outcomes until the caller takes them.

use std::collections::{BTreeSet, VecDeque};

use crate::client::{Error, Outcome};

/// Buffers outcomes until the caller takes them, and tracks which requests don't have
/// one yet. This makes sure that each request gets exactly one.
#[derive(Debug, Default)]
pub(super) struct OutcomeBuffer {
    /// Positions of the requests that don't have an outcome yet.
    open: BTreeSet<usize>,
    ready: VecDeque<Outcome>,
}

/// We stop taking new requests if this many outcomes are waiting for the caller.
const MAX_READY: usize = 1024;

impl OutcomeBuffer {
    /// Adds a request, by its position.
    pub(super) fn open(&mut self, position: usize) {
        self.open.insert(position);
    }

    /// Adds an outcome. The request must not have one yet.
    pub(super) fn finish(&mut self, outcome: Outcome) {
        let is_first = self.open.remove(&outcome.index);
        debug_assert!(is_first, "a second outcome of request {}", outcome.index);
        if is_first {
            self.ready.push_back(outcome);
        }
    }

    /// Fails every request that doesn't have an outcome yet.
    pub(super) fn fail_all(&mut self, error: &Error) {
        let open = std::mem::take(&mut self.open).into_iter();
        self.ready
            .extend(open.map(|position| Outcome::failed(position, error.clone())));
    }

    /// Returns the next outcome, if we have one.
    pub(super) fn pop(&mut self) -> Option<Outcome> {
        self.ready.pop_front()
    }

    /// Returns true if all requests have an outcome.
    pub(super) fn is_complete(&self) -> bool {
        self.open.is_empty()
    }

    /// Returns true if there's an outcome for the caller.
    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Returns true if we may add more requests.
    pub(super) fn has_room(&self) -> bool {
        self.ready.len() < MAX_READY
    }
}
