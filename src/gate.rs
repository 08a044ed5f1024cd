//! Decides which request may start next.
//!
//! A request may start if its host, its batch, its caller and the process all have a free
//! slot. It takes all four at once, so it doesn't hold on to anything while it waits.
//!
//! Each batch has a [`BatchQueue`] with its waiting requests. When a slot becomes free,
//! we give it to the waiting caller that holds the fewest, and then to that caller's next
//! batch in turn. Within the batch, it goes to the first request whose host isn't full.
//!
//! We reserve one slot for each batch that may be open, so that every batch makes
//! progress. All other slots are shared, and no caller can take all of those. Reserved
//! slots count like any other when we look who holds the fewest. Otherwise a caller would
//! get more of them by opening more batches.

mod batch;
mod counts;
mod hosts;
mod slots;
mod standing;
mod state;
#[cfg(test)]
mod tests;
mod turns;

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, futures::Notified};

use crate::{caller::Caller, request::Sendable};
use batch::{BatchState, HostId};
pub(crate) use counts::{Counts, Waits};
pub(crate) use standing::{Hold, Standing, Standings};
use state::{BatchKey, State};

/// Limits how many requests are in flight, for all batches together.
///
/// Clones share the same state.
#[derive(Clone)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
    limits_hosts: bool,
}

/// A batch's waiting requests. Dropping it removes them from the gate.
pub(crate) struct BatchQueue {
    gate: Gate,
    id: BatchKey,
    changed: Arc<Notify>,
}

/// Permission to have one request in flight. Dropping it frees the slot.
pub(crate) struct Slot {
    gate: Gate,
    batch: BatchKey,
    host: HostId,
}

/// Marks a batch as stalled, i.e., its caller isn't reading. Dropping it removes the
/// mark.
pub(crate) struct StallGuard<'a>(&'a BatchQueue);

/// A [`Gate`]'s limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    /// The maximum number of requests in flight in the process. This includes reserved
    /// slots.
    pub(crate) slots: usize,
    /// How many of the slots are reserved. There's one for each batch that may be open.
    pub(crate) reserved: usize,
    /// The maximum number of requests in flight to a host, or `None` if it's unlimited.
    pub(crate) per_host: Option<usize>,
}

impl Gate {
    /// Creates a gate that has no batches yet.
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(capacity))),
            limits_hosts: capacity.per_host.is_some(),
        }
    }

    /// Adds a batch of `requests` for `caller`. Up to `concurrency` of them may be in
    /// flight at a time. `host_of` returns a request's host, and we only call it if hosts
    /// have a limit.
    pub(crate) fn join(
        &self,
        caller: Caller,
        concurrency: usize,
        requests: impl Iterator<Item = Sendable>,
        host_of: impl Fn(Sendable) -> String,
    ) -> BatchQueue {
        let changed = Arc::new(Notify::new());
        let mut batch = BatchState::new(caller, concurrency, Arc::clone(&changed));
        batch.fill(requests, |request| self.host_key(request, &host_of));
        let id = self.state().join(batch);
        BatchQueue {
            gate: self.clone(),
            id,
            changed,
        }
    }

    /// Returns how many requests are waiting and in flight.
    pub(crate) fn counts(&self) -> Counts {
        self.state().counts()
    }

    /// Returns true if callers other than `caller` have batches waiting for a shared
    /// slot.
    pub(crate) fn has_other_waiters(&self, caller: Caller) -> bool {
        self.state().has_other_waiters(caller)
    }

    /// Returns a request's host. If hosts don't have a limit, it's the same for all
    /// requests.
    fn host_key(&self, request: Sendable, host_of: impl Fn(Sendable) -> String) -> String {
        if self.limits_hosts {
            host_of(request)
        } else {
            String::new()
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

impl BatchQueue {
    /// Takes the next request that may start.
    pub(crate) fn take(&self) -> Option<(Sendable, Slot)> {
        let (request, host) = self.gate.state().take(self.id)?;
        Some((request, self.slot(host)))
    }

    /// Frees `slot`, which must belong to this batch, then takes the next request that
    /// may start.
    pub(crate) fn exchange(&self, slot: Slot) -> Option<(Sendable, Slot)> {
        let next = self.gate.state().exchange(self.id, slot.host);
        slot.forget();
        let (request, host) = next?;
        Some((request, self.slot(host)))
    }

    /// Puts back a request that was taken. Returns false if the queue is closed.
    #[must_use]
    pub(crate) fn put_back(&self, request: Sendable, host_of: impl Fn(Sendable) -> String) -> bool {
        let host = self.gate.host_key(request, host_of);
        self.gate.state().put_back(self.id, request, &host)
    }

    /// Returns true if no requests are left, including those that have a slot but haven't
    /// been taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.gate.state().is_empty(self.id)
    }

    /// Waits until there might be a request to take. Note that wake-ups only count after
    /// the future was enabled or polled for the first time.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Wakes up whoever is waiting in [`BatchQueue::changed`], or the next one to do so.
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Limits the batch to its reserved slot until the returned guard is dropped.
    pub(crate) fn stall(&self) -> StallGuard<'_> {
        self.gate.state().stall(self.id);
        StallGuard(self)
    }

    /// Closes the queue and returns all requests that were still in it. After this, you
    /// can't put requests back.
    pub(crate) fn close(&self) -> Vec<Sendable> {
        self.gate.state().close(self.id)
    }

    fn slot(&self, host: HostId) -> Slot {
        Slot {
            gate: self.gate.clone(),
            batch: self.id,
            host,
        }
    }
}

impl Slot {
    /// Drops a slot that has already been freed, so that we don't free it twice.
    fn forget(mut self) {
        self.batch = BatchKey::MAX;
    }
}

impl Drop for StallGuard<'_> {
    fn drop(&mut self) {
        self.0.gate.state().unstall(self.0.id);
    }
}

impl Drop for BatchQueue {
    fn drop(&mut self) {
        self.gate.state().leave(self.id);
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.batch != BatchKey::MAX {
            self.gate.state().release(self.batch, self.host);
        }
    }
}
