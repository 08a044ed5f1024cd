//! The permits of calls whose responses have ended, but are still being written: HTTP/2
//! may hold the end of a response until the caller reads.

use std::sync::Arc;

use parking_lot::Mutex;

use super::admission::Permit;

/// The permits of the ended calls of one connection. Cheap to clone; all clones share
/// one list.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Vec<Permit>>>);

/// The permit of an open response. If the response ends, the permit goes to the outbox;
/// if it is dropped before, the permit is released at once.
pub(super) struct ResponsePermit {
    permit: Option<Permit>,
    outbox: Outbox,
}

impl Outbox {
    /// Takes the permits of all calls that have ended so far.
    pub(crate) fn take(&self) -> Vec<Permit> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Puts permits back that [`Outbox::take`] returned, because the ends of their calls
    /// are not written yet.
    pub(crate) fn put_back(&self, unsent: Vec<Permit>) {
        self.0.lock().extend(unsent);
    }
}

impl ResponsePermit {
    /// Returns `permit` for a response on the connection of `outbox`.
    pub(super) fn new(permit: Permit, outbox: Outbox) -> Self {
        Self {
            permit: Some(permit),
            outbox,
        }
    }

    /// Hands the permit to the outbox when the response has ended. A drain no longer
    /// waits for the batch.
    pub(super) fn end(&mut self) {
        if let Some(mut permit) = self.permit.take() {
            permit.end();
            self.outbox.0.lock().push(permit);
        }
    }
}
