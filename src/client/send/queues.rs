//! The distribution of a list over the replicas, and over calls.

use std::{collections::HashMap, sync::Arc};

use super::queue::{NextCall, ReplicaQueue};
use crate::client::{
    pending::Pending,
    replicas::{Replica, Replicas, candidates, preferred},
};

/// The queues of all replicas.
pub(super) struct ReplicaQueues {
    replicas: Arc<Replicas>,
    /// The largest number of requests in flight, over all replicas.
    concurrency: usize,
    /// Set if the list goes as one call: the concurrency of the call.
    single_call: Option<u32>,
    /// The size of the largest body so far, in bytes.
    largest_body: Option<usize>,
    /// The queues by the names of their replicas.
    queues: HashMap<String, ReplicaQueue>,
    /// The requests without a replica.
    unassigned: Vec<Pending>,
}

/// The concurrency if the caller sets none: the default of a service.
const DEFAULT_CONCURRENCY: usize = 50;

/// The largest number of requests that are sent ahead for each that may be in flight.
/// They wait at the service, so that each call carries many requests.
const MAX_DEPTH: usize = 40;

/// The limit on the bodies of the requests that are sent ahead, in bytes. Their size is
/// estimated by the largest body so far; requests that were sent cannot be called back.
const MAX_BYTES_AHEAD: usize = 8 << 20;

/// The largest number of open calls to one replica.
const MAX_CALLS: usize = 32;

/// The divisor for the part of its fair share that a replica may get on top of it.
const EXTRA_SHARE: usize = 4;

impl ReplicaQueues {
    /// Returns the empty queues of a list with this `concurrency` (0: the default). The
    /// list goes as one call if it `is_single_call`.
    pub(super) fn new(replicas: Arc<Replicas>, concurrency: u32, is_single_call: bool) -> Self {
        Self {
            replicas,
            concurrency: match concurrency {
                0 => DEFAULT_CONCURRENCY,
                count => count as usize,
            },
            single_call: is_single_call.then_some(concurrency),
            largest_body: None,
            queues: HashMap::new(),
            unassigned: Vec::new(),
        }
    }

    /// Returns true if a further request may be added.
    pub(super) fn has_room(&self) -> bool {
        let assigned: usize = self.queues.values().map(ReplicaQueue::len).sum();
        let all = assigned + self.unassigned.len();
        self.single_call.is_some() || all < self.concurrency * self.depth()
    }

    /// Returns true if a request has no replica.
    pub(super) fn has_unassigned(&self) -> bool {
        !self.unassigned.is_empty()
    }

    /// Adds `pending` to the queue of the replica that its host prefers among those with
    /// room. It stays unassigned if no replica is admitted.
    pub(super) fn assign(&mut self, mut pending: Pending) {
        let admitted = self.replicas.admitted();
        match self.choose(&admitted, &mut pending) {
            Some(replica) => {
                let queue = self.queues.entry(replica.name().to_owned()).or_default();
                queue.assigned.push(pending);
            }
            None => self.unassigned.push(pending),
        }
    }

    /// Adds `pending` without a replica.
    pub(super) fn push_unassigned(&mut self, pending: Pending) {
        self.unassigned.push(pending);
    }

    /// Takes the requests without a replica.
    pub(super) fn take_unassigned(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.unassigned)
    }

    /// Takes the unsent requests of replicas that were removed or ejected, and leaves
    /// them unassigned.
    pub(super) fn unassign_ejected(&mut self) {
        let all = self.replicas.all();
        let find = |name: &str| all.iter().find(|replica| replica.name() == name);
        for (name, queue) in &mut self.queues {
            if find(name).is_none_or(|replica| !replica.is_admitted()) {
                self.unassigned.append(&mut queue.assigned);
            }
        }
        self.queues
            .retain(|name, queue| queue.len() > 0 || queue.calls > 0 || find(name).is_some());
    }

    /// Returns the next call to the replica `name`, which is one of `admitted`.
    ///
    /// A call is made if a quarter of the replica's share is free, or half if requests
    /// are sent ahead, or any part of it if the waiting requests are few and the
    /// `intake_is_idle`.
    pub(super) fn next_call(
        &mut self,
        name: &str,
        admitted: usize,
        intake_is_idle: bool,
    ) -> Option<NextCall> {
        let share = self.share(admitted);
        // The more calls there are, the fewer results share a message.
        let least = share.div_ceil(if self.depth() > 1 { 2 } else { 4 });
        let in_flight: usize = self.queues.values().map(|queue| queue.in_flight).sum();
        let queue = self.queues.get_mut(name)?;
        if queue.assigned.is_empty() || queue.calls >= MAX_CALLS {
            return None;
        }
        // Ejected replicas may still have open calls.
        let free = share
            .saturating_sub(queue.in_flight)
            .min(self.concurrency.saturating_sub(in_flight));
        let takes_all = intake_is_idle && free > 0 && free >= queue.assigned.len();
        if self.single_call.is_none() && free < least && !takes_all {
            return None;
        }
        Some(queue.next_call(self.single_call, free))
    }

    /// Records an outcome of the replica `name` with a body of this size. `frees_slot`
    /// is true if no other request of the call takes its slot.
    pub(super) fn record_outcome(&mut self, name: &str, body_bytes: usize, frees_slot: bool) {
        let queue = self.queues.entry(name.to_owned()).or_default();
        queue.outstanding -= 1;
        queue.in_flight -= usize::from(frees_slot);
        self.largest_body = self.largest_body.max(Some(body_bytes));
    }

    /// Records the end of a call to the replica `name`. The call `lost` this number of
    /// requests, which held this number of `slots`.
    pub(super) fn record_end(&mut self, name: &str, lost: usize, slots: usize) {
        let queue = self.queues.entry(name.to_owned()).or_default();
        queue.calls -= 1;
        queue.outstanding -= lost;
        queue.in_flight -= slots;
        if lost > 0 && self.replicas.count() > 1 {
            self.single_call = None;
        }
    }

    /// Removes all requests.
    pub(super) fn clear(&mut self) {
        self.queues.clear();
        self.unassigned.clear();
    }

    /// Returns the replica for `pending`: the one that its host prefers among those with
    /// room, or the one with the fewest requests if none has room.
    fn choose<'a>(
        &self,
        admitted: &'a [Arc<Replica>],
        pending: &mut Pending,
    ) -> Option<&'a Arc<Replica>> {
        let fair = self.share(admitted.len()) * self.depth();
        let max = fair + fair.div_ceil(EXTRA_SHARE);
        let len = |replica: &Replica| self.queues.get(replica.name()).map_or(0, ReplicaQueue::len);
        let candidates = candidates(admitted, pending);
        let all = || candidates.iter().copied();
        let with_room = all().filter(|replica| self.single_call.is_some() || len(replica) < max);
        preferred(pending.host(), with_room).or_else(|| all().min_by_key(|replica| len(replica)))
    }

    /// Returns the number of requests that are sent for each that may be in flight. With
    /// several replicas it is one: another replica could fetch a request that waits.
    fn depth(&self) -> usize {
        let Some(largest_body) = self.largest_body else {
            return 1;
        };
        if self.replicas.count() > 1 {
            return 1;
        }
        let in_flight_bytes = self.concurrency.saturating_mul(largest_body).max(1);
        (MAX_BYTES_AHEAD / in_flight_bytes).clamp(1, MAX_DEPTH)
    }

    /// Returns the fair share of one replica of `count`.
    fn share(&self, count: usize) -> usize {
        self.concurrency.div_ceil(count.max(1))
    }
}
