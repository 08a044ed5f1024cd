//! Distributes a list over the replicas and splits it into calls.

use std::{collections::HashMap, sync::Arc};

use super::{
    queue::{NextCall, ReplicaQueue},
    share::{fair_share, max_share},
};
use crate::client::{
    pending::Pending,
    replicas::{Replica, Replicas, candidates, preferred},
};

/// The queues of all replicas.
pub(super) struct ReplicaQueues {
    replicas: Arc<Replicas>,
    /// Max number of requests in flight, over all replicas.
    concurrency: usize,
    /// The call's concurrency, if the list goes out as one call.
    single_call: Option<u32>,
    /// The largest body size we've seen so far, in bytes.
    largest_body: Option<usize>,
    /// One queue per replica, by replica name.
    queues: HashMap<String, ReplicaQueue>,
    /// Requests that don't have a replica yet.
    unassigned: Vec<Pending>,
}

/// Used if the caller doesn't set a concurrency. Services have the same default.
const DEFAULT_CONCURRENCY: usize = 50;

/// If there's only one replica, we send it more requests than may be in flight, so that
/// each call carries many of them. The rest simply wait at the service. At most, we send
/// this many times the concurrency.
const MAX_DEPTH: usize = 40;

/// Limits the total body size of the requests we send ahead, in bytes. Since we don't
/// know their size yet, we assume that each is as large as the largest body so far.
/// We're careful here because we can't call a request back once we've sent it.
const MAX_BYTES_AHEAD: usize = 8 << 20;

/// Max number of open calls per replica. If we reach it, requests wait for a call to
/// end.
const MAX_CALLS: usize = 32;

impl ReplicaQueues {
    /// Creates empty queues for a list. A `concurrency` of 0 means the default. Set
    /// `is_single_call` if the list goes out as one call.
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

    /// Returns true if we may add another request.
    pub(super) fn has_room(&self) -> bool {
        let assigned: usize = self.queues.values().map(ReplicaQueue::len).sum();
        let all = assigned + self.unassigned.len();
        self.single_call.is_some() || all < self.concurrency * self.depth()
    }

    /// Returns true if there's a request without a replica.
    pub(super) fn has_unassigned(&self) -> bool {
        !self.unassigned.is_empty()
    }

    /// Queues `pending` for one of the replicas (see `choose`). If none is admitted, the
    /// request stays unassigned.
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

    /// Adds a request without choosing a replica for it.
    pub(super) fn push_unassigned(&mut self, pending: Pending) {
        self.unassigned.push(pending);
    }

    /// Takes all requests that don't have a replica.
    pub(super) fn take_unassigned(&mut self) -> Vec<Pending> {
        std::mem::take(&mut self.unassigned)
    }

    /// Takes back requests that we haven't sent yet, if their replica was removed or
    /// ejected since. They become unassigned.
    pub(super) fn unassign_ejected(&mut self) {
        let all = self.replicas.all();
        let find = |name: &str| all.iter().find(|replica| replica.name() == name);
        for (name, queue) in &mut self.queues {
            let has_assigned = !queue.assigned.is_empty();
            if has_assigned && find(name).is_none_or(|replica| !replica.is_admitted()) {
                self.unassigned.append(&mut queue.assigned);
            }
        }
        // Few replicas of many have requests of this list at a time.
        self.queues
            .retain(|_, queue| queue.len() > 0 || queue.calls > 0);
    }

    /// Returns the next call to the replica `name`. `admitted` is the number of admitted
    /// replicas.
    ///
    /// To avoid lots of tiny calls, we wait until a quarter of the replica's share is
    /// free (or half, if we send requests ahead). There's one exception: if the
    /// `intake_is_idle` and all waiting requests fit in the free slots, we send them
    /// right away.
    pub(super) fn next_call(
        &mut self,
        name: &str,
        admitted: usize,
        intake_is_idle: bool,
    ) -> Option<NextCall> {
        let share = fair_share(self.concurrency, admitted);
        // Each message carries results of one call only. With more calls, messages carry
        // fewer results each, so we don't want too many.
        let least = share.div_ceil(if self.depth() > 1 { 2 } else { 4 });
        let queue = self.queues.get(name)?;
        if queue.assigned.is_empty() || queue.calls >= MAX_CALLS {
            return None;
        }
        let in_flight: usize = self.queues.values().map(|queue| queue.in_flight).sum();
        let queue = self.queues.get_mut(name)?;
        // Don't exceed the total either. Ejected replicas may still have open calls.
        let free = share
            .saturating_sub(queue.in_flight)
            .min(self.concurrency.saturating_sub(in_flight));
        let takes_all = intake_is_idle && free > 0 && free >= queue.assigned.len();
        // One call has all of the concurrency. So if a replica drains, and requests come back
        // one by one while it works on others, or if there are more replicas by now, the list
        // goes out in several calls with a part of it each.
        let is_alone = in_flight == 0 && admitted == 1;
        let single_call = self.single_call.filter(|_| is_alone);
        if single_call.is_none() && free < least && !takes_all {
            return None;
        }
        Some(queue.next_call(single_call, free))
    }

    /// Records an outcome from the replica `name`. Set `frees_slot` if no other request
    /// in the call takes over the slot.
    pub(super) fn record_outcome(&mut self, name: &str, body_bytes: usize, frees_slot: bool) {
        let queue = self.queues.entry(name.to_owned()).or_default();
        queue.outstanding -= 1;
        queue.in_flight -= usize::from(frees_slot);
        self.largest_body = self.largest_body.max(Some(body_bytes));
    }

    /// Records that a call to the replica `name` has ended. It lost this many requests,
    /// and they occupied this many `slots`.
    pub(super) fn record_end(&mut self, name: &str, lost: usize, slots: usize) {
        let queue = self.queues.entry(name.to_owned()).or_default();
        queue.calls -= 1;
        queue.outstanding -= lost;
        queue.in_flight -= slots;
        if lost > 0 && self.replicas.count() > 1 {
            self.single_call = None;
        }
    }

    /// Takes all requests that aren't in a call, and forgets the calls.
    pub(super) fn take_unsent(&mut self) -> Vec<Pending> {
        let queues = self.queues.drain();
        let mut unsent: Vec<_> = queues.flat_map(|(_, queue)| queue.assigned).collect();
        unsent.append(&mut self.unassigned);
        unsent
    }

    /// Chooses a replica for `pending`. We use the one its host prefers, skipping those
    /// that don't have room. If none has room, we use the one with the fewest requests.
    fn choose<'a>(
        &self,
        admitted: &'a [Arc<Replica>],
        pending: &mut Pending,
    ) -> Option<&'a Arc<Replica>> {
        let max = max_share(fair_share(self.concurrency, admitted.len()) * self.depth());
        let len = |replica: &Replica| self.queues.get(replica.name()).map_or(0, ReplicaQueue::len);
        let candidates = candidates(admitted, pending);
        let all = || candidates.iter().copied();
        let with_room = all().filter(|replica| self.single_call.is_some() || len(replica) < max);
        preferred(pending.host(), with_room).or_else(|| all().min_by_key(|replica| len(replica)))
    }

    /// Returns how many requests we send for each that may be in flight. If there are
    /// several replicas we never send ahead, since another replica might be free to
    /// fetch the request earlier.
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
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint;

    use super::*;
    use crate::client::Builder;

    const NAME: &str = "in.memory";

    /// The queues of a list that goes out as one call, with this many requests.
    fn single_call(concurrency: u32, requests: usize) -> ReplicaQueues {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let replicas = Arc::new(Replicas::only(channel, Builder::default()));
        let mut queues = ReplicaQueues::new(replicas, concurrency, true);
        for _ in 0..requests {
            queues.assign(Pending::with_method("GET"));
        }
        queues
    }

    #[tokio::test]
    async fn requests_of_a_draining_replica_wait_for_those_that_it_works_on() {
        let mut queues = single_call(1, 3);
        let call = queues.next_call(NAME, 1, true).unwrap();
        assert_eq!((call.requests.len(), call.concurrency), (3, 1));
        queues.record_outcome(NAME, 0, false);
        queues.assign(Pending::with_method("GET"));
        assert!(queues.next_call(NAME, 1, true).is_none());
        queues.record_outcome(NAME, 0, false);
        queues.record_outcome(NAME, 0, true);
        queues.record_end(NAME, 0, 0);
        assert_eq!(queues.next_call(NAME, 1, true).unwrap().requests.len(), 1);
    }

    #[tokio::test]
    async fn list_has_its_concurrency_over_replicas_that_come_later() {
        let mut queues = single_call(4, 8);
        let call = queues.next_call(NAME, 2, true).unwrap();
        assert_eq!((call.concurrency, call.slots), (2, 2));
    }
}
