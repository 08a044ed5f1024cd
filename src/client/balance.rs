//! How the requests of a list are spread over the replicas, and in which calls.

use std::{collections::HashMap, sync::Arc};

use super::{
    endpoint::Endpoint,
    endpoints::Endpoints,
    item::Item,
    load::{Load, NextCall},
};

/// What each replica has to do of a list.
pub(super) struct Balance {
    endpoints: Arc<Endpoints>,
    /// Most in flight, over all replicas.
    concurrency: usize,
    /// The whole list is one call, whose concurrency is this.
    whole: Option<u32>,
    /// The largest body so far, in bytes.
    largest: Option<usize>,
    loads: HashMap<String, Load>,
}

/// In flight if the caller does not say: what a service has by default.
const DEFAULT_CONCURRENCY: usize = 50;

/// The most requests that are sent ahead for each that may be in flight: they
/// wait at the service, so that a call is worth its cost.
const MAX_DEPTH: usize = 40;

/// How many bytes of bodies what is sent ahead may come to, as far as the bodies
/// before tell: it cannot be called back.
const AHEAD: usize = 8 << 20;

/// The most calls open at one replica.
const MAX_CALLS: usize = 32;

/// A replica takes no more than its fair share of what is in flight, and this
/// part of it.
const MORE_OF_SHARE: usize = 4;

impl Balance {
    /// Nothing yet, for a list of which `concurrency` requests may be in flight (0:
    /// as many as a service has by default), and which is one call if it `is_whole`.
    pub(super) fn new(endpoints: Arc<Endpoints>, concurrency: u32, is_whole: bool) -> Self {
        Self {
            endpoints,
            concurrency: match concurrency {
                0 => DEFAULT_CONCURRENCY,
                count => count as usize,
            },
            whole: is_whole.then_some(concurrency),
            largest: None,
            loads: HashMap::new(),
        }
    }

    /// Returns true if there is room for another request, beside `waiting` that
    /// have no replica.
    pub(super) fn has_room(&self, waiting: usize) -> bool {
        let loads = self.loads.values().map(Load::size);
        let all = loads.sum::<usize>() + waiting;
        self.whole.is_some() || all < self.concurrency * self.depth()
    }

    /// Gives `item` to the replica that its host prefers among those that have room.
    /// Returns it if none is admitted.
    pub(super) fn assign(&mut self, mut item: Item) -> Option<Item> {
        let admitted = self.endpoints.admitted();
        let Some(chosen) = self.chosen(&admitted, &mut item) else {
            return Some(item);
        };
        let load = self.loads.entry(chosen.name().to_owned()).or_default();
        load.assigned.push(item);
        None
    }

    /// The replica for `item`, of those that are `admitted`: by rendezvous hashing,
    /// with bounded loads. One that failed the request is chosen only if all have;
    /// one that failed any since its last result does not get what must not be sent
    /// twice, if there is another.
    fn chosen<'a>(
        &self,
        admitted: &'a [Arc<Endpoint>],
        item: &mut Item,
    ) -> Option<&'a Arc<Endpoint>> {
        let share = self.share(admitted.len()) * self.depth();
        let most = share + share.div_ceil(MORE_OF_SHARE);
        let untried = admitted.iter();
        let mut candidates: Vec<_> = untried
            .filter(|endpoint| !item.avoids(endpoint.name()))
            .collect();
        if candidates.is_empty() {
            item.avoid_none();
            candidates.extend(admitted);
        }
        if !item.is_idempotent() && candidates.iter().any(|endpoint| endpoint.is_proven()) {
            candidates.retain(|endpoint| endpoint.is_proven());
        }
        let load = |endpoint: &Endpoint| self.loads.get(endpoint.name()).map_or(0, Load::size);
        let has_room = |endpoint: &&Arc<Endpoint>| self.whole.is_some() || load(endpoint) < most;
        let preferred = |endpoint: &&Arc<Endpoint>| endpoint.weight(item.host());
        let all = || candidates.iter().copied();
        let with_room = all().filter(has_room).max_by_key(preferred);
        with_room.or_else(|| all().min_by_key(|endpoint| load(endpoint)))
    }

    /// How many requests are sent for each that may be in flight. Over several
    /// replicas it is one: a request that waits at one could be worked by another.
    fn depth(&self) -> usize {
        let Some(largest) = self.largest else {
            return 1;
        };
        if self.endpoints.count() > 1 {
            return 1;
        }
        let round = self.concurrency.saturating_mul(largest).max(1);
        (AHEAD / round).clamp(1, MAX_DEPTH)
    }

    /// The fair share of one replica of `count`.
    fn share(&self, count: usize) -> usize {
        self.concurrency.div_ceil(count.max(1))
    }

    /// The next call of the replica `name`, which is one of `admitted`: if a quarter
    /// of its share is free, or half if many requests follow one another in a call,
    /// or any of it if the requests are few and `nothing_comes` besides.
    pub(super) fn next_call(
        &mut self,
        name: &str,
        admitted: usize,
        nothing_comes: bool,
    ) -> Option<NextCall> {
        let share = self.share(admitted);
        // The more calls, the fewer results share a message.
        let least = share.div_ceil(if self.depth() > 1 { 2 } else { 4 });
        let in_flight: usize = self.loads.values().map(|load| load.in_flight).sum();
        let load = self.loads.get_mut(name)?;
        if load.assigned.is_empty() || load.calls >= MAX_CALLS {
            return None;
        }
        // A replica that was ejected may still have calls.
        let free = share
            .saturating_sub(load.in_flight)
            .min(self.concurrency.saturating_sub(in_flight));
        let is_all = nothing_comes && free > 0 && free >= load.assigned.len();
        if self.whole.is_none() && free < least && !is_all {
            return None;
        }
        Some(load.next_call(self.whole, free))
    }

    /// Takes back what was given to replicas that are no more, or are ejected, and
    /// was not sent.
    pub(super) fn take_back(&mut self) -> Vec<Item> {
        let known = self.endpoints.known();
        let find = |name: &str| known.iter().find(|endpoint| endpoint.name() == name);
        let gone = self.loads.iter_mut().filter(|(name, _)| {
            let endpoint = find(name);
            endpoint.is_none_or(|endpoint| !endpoint.is_admitted())
        });
        let left = gone.flat_map(|(_, load)| load.assigned.drain(..)).collect();
        self.loads
            .retain(|name, load| load.size() > 0 || load.calls > 0 || find(name).is_some());
        left
    }

    /// Notes an outcome at the replica `name`, with a body of `bytes`.
    pub(super) fn note_outcome(&mut self, name: &str, bytes: usize, frees_slot: bool) {
        let load = self.loads.entry(name.to_owned()).or_default();
        load.outstanding -= 1;
        load.in_flight -= usize::from(frees_slot);
        self.largest = self.largest.max(Some(bytes));
    }

    /// Notes that a call at the replica `name` is over, of which `left` requests had
    /// no outcome and held `slots`.
    pub(super) fn note_end(&mut self, name: &str, left: usize, slots: usize) {
        let load = self.loads.entry(name.to_owned()).or_default();
        load.calls -= 1;
        load.outstanding -= left;
        load.in_flight -= slots;
        if left > 0 && self.endpoints.count() > 1 {
            self.whole = None;
        }
    }

    /// Forgets all requests.
    pub(super) fn clear(&mut self) {
        self.loads.clear();
    }
}
