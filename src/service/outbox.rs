//! The room of calls whose responses have ended, but are not yet with the system:
//! HTTP/2 may hold the end of each for as long as the caller does not read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::admission::Admitted;

/// The room of the ended calls of one connection. Cheap to clone; all clones share
/// one list.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Vec<Admitted>>>);

impl Outbox {
    /// Keeps the room of a call whose last message was handed over.
    pub(super) fn push(&self, admitted: Admitted) {
        self.ended().push(admitted);
    }

    /// Takes the room of all calls that ended before now.
    pub(crate) fn take(&self) -> Vec<Admitted> {
        std::mem::take(&mut *self.ended())
    }

    /// Puts back what was taken: it is not with the system yet.
    pub(crate) fn put_back(&self, unsent: Vec<Admitted>) {
        self.ended().extend(unsent);
    }

    fn ended(&self) -> MutexGuard<'_, Vec<Admitted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
