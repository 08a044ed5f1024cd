//! Holds the permits of calls whose response has ended, but which might not be written
//! yet. HTTP/2 can hold back the end of a response until the caller reads.

use std::sync::Arc;

use parking_lot::Mutex;

use super::admission::Permit;

/// The permits of ended calls on a connection.
///
/// Cheap to clone; all clones share one list.
#[derive(Clone, Default)]
pub(crate) struct Outbox(Arc<Mutex<Vec<Permit>>>);

/// An open response's permit.
///
/// When the response ends, the permit moves to the outbox. If this is dropped before
/// that, we release it right away.
pub(super) struct ResponsePermit {
    permit: Option<Permit>,
    outbox: Outbox,
}

impl Outbox {
    /// Takes the permits of all calls that ended since the last time.
    pub(crate) fn take(&self) -> Vec<Permit> {
        std::mem::take(&mut *self.0.lock())
    }

    /// Puts back permits from [`Outbox::take`] whose calls haven't been fully written
    /// yet.
    pub(crate) fn put_back(&self, unsent: Vec<Permit>) {
        self.0.lock().extend(unsent);
    }
}

impl ResponsePermit {
    /// Wraps the `permit` of a response. `outbox` must belong to the same connection.
    pub(super) fn new(permit: Permit, outbox: Outbox) -> Self {
        Self {
            permit: Some(permit),
            outbox,
        }
    }

    /// Moves the permit to the outbox, because the response has ended. A drain stops
    /// waiting for the batch.
    pub(super) fn end(&mut self) {
        if let Some(mut permit) = self.permit.take() {
            permit.end();
            self.outbox.0.lock().push(permit);
        }
    }
}
