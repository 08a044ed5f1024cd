//! Which request may start: one whose host, batch and process all have room. It
//! takes the three at once, and nothing is held while waiting.
//!
//! Each batch has a [`Line`] of waiting requests. Room that becomes free goes to
//! the lines in turn, and in each to the first request whose host has room. Of
//! the slots of the process, one is kept for each batch that may be open, so
//! that a batch goes on whatever the others do; the rest is shared.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, futures::Notified};

use state::{LineId, QueueId, State};

/// The room of the process, of its batches and of its hosts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate(Arc<Mutex<State>>);

/// The requests of one batch that wait, by their indices. Dropping it takes them
/// from the gate.
pub(crate) struct Line {
    gate: Gate,
    id: LineId,
    changed: Arc<Notify>,
}

/// The right to have one request in flight, until it is dropped.
pub(crate) struct Slot {
    gate: Gate,
    line: LineId,
    queue: QueueId,
}

/// How much room there is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Most in flight in the process, those kept for batches among them.
    pub(crate) slots: usize,
    /// For how many batches one slot each is kept.
    pub(crate) batches: usize,
    /// Most in flight to one host. `None`: as many as there are slots.
    pub(crate) per_host: Option<usize>,
}

impl Gate {
    /// A gate with `room`.
    pub(crate) fn new(room: Room) -> Self {
        Self(Arc::new(Mutex::new(State::new(room))))
    }

    /// Lets a batch in, of which `concurrency` requests may be in flight.
    /// `requests` are their indices, in order, and `host_of` gives the host that
    /// each is for; it is asked only where hosts have a limit.
    pub(crate) fn join(
        &self,
        concurrency: usize,
        requests: impl Iterator<Item = u32>,
        host_of: impl Fn(u32) -> String,
    ) -> Line {
        let changed = Arc::new(Notify::new());
        let mut state = self.state();
        let id = state.join(concurrency, requests, host_of, &changed);
        drop(state);
        Line {
            gate: self.clone(),
            id,
            changed,
        }
    }

    /// How many requests wait for a slot, and how many have one.
    pub(crate) fn counts(&self) -> (usize, usize) {
        self.state().counts()
    }

    /// How many requests waited for room so far: in their batch, at their host,
    /// in the process.
    pub(crate) fn waits(&self) -> [u64; 3] {
        self.state().waits()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Takes the next request that may start.
    pub(crate) fn take(&self) -> Option<(u32, Slot)> {
        let (index, queue) = self.gate.state().take(self.id)?;
        let slot = Slot {
            gate: self.gate.clone(),
            line: self.id,
            queue,
        };
        Some((index, slot))
    }

    /// Puts a request that was taken back in line. False: the line is closed.
    #[must_use]
    pub(crate) fn put_back(&self, index: u32, host_of: impl Fn(u32) -> String) -> bool {
        self.gate.state().put_back(self.id, index, host_of)
    }

    /// Whether none waits, be it to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.gate.state().is_empty(self.id)
    }

    /// Waits until there may be one to take, or none waits any more. Counts from
    /// when it is enabled or first polled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Takes all that wait out of the line, in which none waits from then on.
    pub(crate) fn close(&self) -> Vec<u32> {
        self.gate.state().close(self.id)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.gate.state().leave(self.id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.gate.state().release(self.line, self.queue);
    }
}

#[cfg(test)]
#[path = "gate/tests.rs"]
mod tests;
