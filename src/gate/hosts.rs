//! Counts the requests in flight to each host, and remembers which queues wait for a full
//! host.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use super::{batch::HostId, state::BatchKey};

/// All hosts with requests in flight. We don't track them if hosts have no limit.
pub(super) struct Hosts {
    /// The maximum number of requests in flight to a host.
    pub(super) limit: Option<usize>,
    pub(super) busy: HashMap<Arc<str>, HostState>,
}

/// A host with requests in flight.
#[derive(Default)]
pub(super) struct HostState {
    pub(super) in_flight: usize,
    /// The queues waiting for this host.
    blocked: Vec<Waiter>,
}

/// A queue that's waiting for its host.
pub(super) struct Waiter {
    pub(super) batch: BatchKey,
    pub(super) host: HostId,
}

impl Hosts {
    pub(super) fn new(limit: Option<usize>) -> Self {
        Self {
            limit,
            busy: HashMap::new(),
        }
    }

    /// Takes a slot for `host`. If the host is full, this returns false, and the queue
    /// `id` of `batch` starts waiting for it.
    pub(super) fn take(&mut self, host: &Arc<str>, batch: BatchKey, id: HostId) -> bool {
        let Some(limit) = self.limit else {
            return true;
        };
        let state = self.busy.entry(Arc::clone(host)).or_default();
        if state.in_flight >= limit {
            state.blocked.push(Waiter { batch, host: id });
            return false;
        }
        state.in_flight += 1;
        true
    }

    /// Frees a slot for `host`. Returns the queues that were waiting for it.
    pub(super) fn free(&mut self, host: &Arc<str>) -> Vec<Waiter> {
        let Entry::Occupied(mut entry) = self.busy.entry(Arc::clone(host)) else {
            return Vec::new();
        };
        entry.get_mut().in_flight -= 1;
        let blocked = std::mem::take(&mut entry.get_mut().blocked);
        if entry.get().in_flight == 0 {
            entry.remove();
        }
        blocked
    }
}
