//! Which request may start: no more than the process has slots for.

use tokio::sync::{Semaphore, SemaphorePermit};

/// The slots of the process, shared by all batches. Waiting requests are
/// served in the order in which they asked.
pub(crate) struct Gate(Semaphore);

/// The right to have one request in flight, until it is dropped.
pub(crate) struct Slot<'a> {
    _permit: SemaphorePermit<'a>,
}

impl Gate {
    /// A gate with `slots` slots.
    pub(crate) fn new(slots: u32) -> Self {
        Self(Semaphore::new(slots as usize))
    }

    /// Waits for a slot. Cancel-safe, but for the place in the queue.
    pub(crate) async fn enter(&self) -> Slot<'_> {
        let permit = self.0.acquire().await;
        Slot {
            _permit: permit.expect("the semaphore is never closed"),
        }
    }
}
