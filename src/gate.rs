//! Decides which request may start: one for which its host, its batch, its caller
//! and the process all have a free slot. A request takes all four at once, and holds
//! nothing while it waits.
//!
//! Each batch has a [`BatchQueue`] of waiting requests. A slot that becomes free goes
//! to the callers in turn, then to the batches of that caller in turn, and in a batch
//! to the first request whose host is not full. One slot of the process is reserved
//! for each batch that may be open, so that every batch makes progress. The other
//! slots are shared, and no caller can take all of them.

mod batch;
mod counts;
mod hosts;
mod round_robin;
mod slots;
mod state;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, futures::Notified};

use crate::{caller::Caller, request::Sendable};
use batch::{BatchState, HostId};
pub(crate) use counts::{Counts, Waits};
use state::{BatchId, State};

/// The limits on requests in flight, shared by all batches. Cheap to clone; all clones
/// share one state.
#[derive(Clone)]
pub(crate) struct Gate {
    state: Arc<Mutex<State>>,
    limits_hosts: bool,
}

/// The waiting requests of one batch. Dropping it removes them from the gate.
pub(crate) struct BatchQueue {
    gate: Gate,
    id: BatchId,
    changed: Arc<Notify>,
}

/// The right to have one request in flight. Dropping it frees the slot.
pub(crate) struct Slot {
    gate: Gate,
    batch: BatchId,
    host: HostId,
}

/// Marks a batch as stalled, because its caller does not read. Dropping it removes
/// the mark.
pub(crate) struct StallGuard<'a>(&'a BatchQueue);

/// The limits of a [`Gate`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Capacity {
    /// The most requests in flight in the process, reserved slots included.
    pub(crate) slots: usize,
    /// The number of slots that are reserved, one for each batch that may be open.
    pub(crate) reserved: usize,
    /// The most requests in flight to one host, or `None` for no limit.
    pub(crate) per_host: Option<usize>,
}

impl Gate {
    /// Creates a gate without any batch.
    pub(crate) fn new(capacity: Capacity) -> Self {
        Self {
            state: Arc::new(Mutex::new(State::new(capacity))),
            limits_hosts: capacity.per_host.is_some(),
        }
    }

    /// Adds a batch of `requests` of `caller`, of which `concurrency` may be in
    /// flight. `host_of` returns the host of a request; it is called only if hosts
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

    /// Counts the requests at the gate.
    pub(crate) fn counts(&self) -> Counts {
        self.state().counts()
    }

    /// Returns true if requests of callers other than `caller` wait for a shared slot.
    pub(crate) fn has_other_waiters(&self, caller: Caller) -> bool {
        self.state().has_other_waiters(caller)
    }

    /// Returns the host of a request, or the same for all if hosts have no limit.
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

    /// Frees `slot`, which must belong to this batch, and takes the next request that
    /// may start.
    pub(crate) fn exchange(&self, slot: Slot) -> Option<(Sendable, Slot)> {
        let next = self.gate.state().exchange(self.id, slot.host);
        slot.forget();
        let (request, host) = next?;
        Some((request, self.slot(host)))
    }

    /// Puts a request back that was taken. Returns false if the queue is closed.
    #[must_use]
    pub(crate) fn put_back(&self, request: Sendable, host_of: impl Fn(Sendable) -> String) -> bool {
        let host = self.gate.host_key(request, host_of);
        self.gate.state().put_back(self.id, request, &host)
    }

    /// Returns true if no request waits, for a slot or to be taken.
    pub(crate) fn is_empty(&self) -> bool {
        self.gate.state().is_empty(self.id)
    }

    /// Waits until there may be a request to take. Wake-ups count from the moment
    /// when the future is enabled or first polled.
    pub(crate) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Completes [`BatchQueue::changed`].
    pub(crate) fn wake(&self) {
        self.changed.notify_one();
    }

    /// Limits the batch to its reserved slot until the guard is dropped.
    pub(crate) fn stall(&self) -> StallGuard<'_> {
        self.gate.state().stall(self.id);
        StallGuard(self)
    }

    /// Closes the queue and returns the requests that were waiting in it. No request
    /// can wait in it from then on.
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
    /// Drops a slot that is free already.
    fn forget(mut self) {
        self.batch = BatchId::MAX;
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
        if self.batch != BatchId::MAX {
            self.gate.state().release(self.batch, self.host);
        }
    }
}
