//! Which request may start: one whose host, batch, caller and process all have
//! room. It takes the room of all at once, and nothing is held while waiting.
//!
//! Each batch has a [`Line`] of waiting requests. Room that becomes free goes to
//! the callers in turn, then to the lines of each in turn, and in each line to the
//! first request whose host has room. Of the slots of the process, one is kept for
//! each batch that may be open, so that a batch goes on whatever the others do;
//! the rest is shared, and no caller takes all of it.

mod line;
mod state;
mod turns;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, futures::Notified};

use crate::caller::Caller;
use line::QueueId;
use state::{LineId, State};

/// The room of the process, of its batches and of its hosts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
    limits_hosts: bool,
}

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

/// Marks a line as one whose caller does not read, until it is dropped.
pub(crate) struct Stalled<'a>(&'a Line);

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
        Self {
            state: Arc::new(Mutex::new(State::new(room))),
            limits_hosts: room.per_host.is_some(),
        }
    }

    /// Lets a batch of `requests` by `caller` in, of which `concurrency` may be in
    /// flight. `host_of` returns the host that a request is for; it is asked
    /// only if hosts have a limit.
    pub(crate) fn join(
        &self,
        caller: Caller,
        concurrency: usize,
        requests: impl Iterator<Item = u32>,
        host_of: impl Fn(u32) -> String,
    ) -> Line {
        let changed = Arc::new(Notify::new());
        let mut line = line::Line::new(caller, concurrency, Arc::clone(&changed));
        line.fill(requests, |index| self.queue_name(index, &host_of));
        let id = self.state().join(line);
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

    /// Returns true if requests of others than `caller` wait for a slot of the
    /// process.
    pub(crate) fn is_wanted_beside(&self, caller: Caller) -> bool {
        self.state().is_wanted_beside(caller)
    }

    /// If hosts have no limit, all requests of a batch are in one queue.
    fn queue_name(&self, index: u32, host_of: impl Fn(u32) -> String) -> String {
        if self.limits_hosts {
            host_of(index)
        } else {
            String::new()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    /// Takes the next request that may start.
    pub(crate) fn take(&self) -> Option<(u32, Slot)> {
        let (index, queue) = self.gate.state().take(self.id)?;
        Some((index, self.slot(queue)))
    }

    /// Gives `slot`, which is one of this line, back, and takes the next request
    /// that may start.
    pub(crate) fn exchange(&self, slot: Slot) -> Option<(u32, Slot)> {
        let next = self.gate.state().exchange(self.id, slot.queue);
        slot.forget();
        let (index, queue) = next?;
        Some((index, self.slot(queue)))
    }

    /// Puts a request that was taken back in line. False: the line is closed.
    #[must_use]
    pub(crate) fn put_back(&self, index: u32, host_of: impl Fn(u32) -> String) -> bool {
        let host = self.gate.queue_name(index, host_of);
        self.gate.state().put_back(self.id, index, &host)
    }

    /// Returns true if no request waits or was let through without being taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.gate.state().is_empty(self.id)
    }

    /// Waits until there may be a request to take. Counts from when it is enabled
    /// or first polled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Ends the wait of [`Line::changed`].
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Lets the line have no more than the slot that is kept for it, as long as
    /// the mark lasts: its caller does not read what it has.
    pub(crate) fn stall(&self) -> Stalled<'_> {
        self.gate.state().stall(self.id);
        Stalled(self)
    }

    /// Takes all waiting requests out of the line, in which none waits from then
    /// on.
    pub(crate) fn close(&self) -> Vec<u32> {
        self.gate.state().close(self.id)
    }

    fn slot(&self, queue: QueueId) -> Slot {
        Slot {
            gate: self.gate.clone(),
            line: self.id,
            queue,
        }
    }
}

impl Slot {
    /// Drops the slot, which was given back.
    fn forget(mut self) {
        self.line = LineId::MAX;
    }
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.gate.state().unstall(self.0.id);
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.gate.state().leave(self.id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.line != LineId::MAX {
            self.gate.state().release(self.line, self.queue);
        }
    }
}

#[cfg(test)]
#[path = "gate/tests.rs"]
mod tests;
