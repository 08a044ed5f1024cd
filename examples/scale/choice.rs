//! Which replica gets a request.

use std::{collections::HashMap, sync::Arc};

use fastrand::Rng;
use fetchd::client::internals::{fair_share, max_share};

use crate::fleet::{Replica, View};

/// A way to choose a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Any replica.
    Random,
    /// The one that the host prefers.
    Hashing,
    /// The one that the host prefers among those with room, as the Rust client does it.
    Client,
}

impl Rule {
    pub(crate) const ALL: [Self; 3] = [Self::Client, Self::Hashing, Self::Random];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Random => "random",
            Self::Hashing => "hashing alone",
            Self::Client => "Rust client",
        }
    }
}

/// All callers, each of which fetches one endless list.
pub(crate) struct Callers {
    rule: Rule,
    /// The concurrency of each list.
    concurrency: usize,
    count: usize,
    /// The requests in flight of each replica and caller.
    in_flight: Vec<u16>,
    /// Full rankings of the hosts that have used up the known ones, for one view.
    deep: HashMap<(u32, *const View), Vec<Replica>>,
}

impl Callers {
    pub(crate) fn new(rule: Rule, count: usize, concurrency: usize) -> Self {
        Self {
            rule,
            concurrency,
            count,
            in_flight: Vec::new(),
            deep: HashMap::new(),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Chooses a replica for a request, which is in flight from now on.
    pub(crate) fn start(
        &mut self,
        caller: usize,
        host: u32,
        view: &Arc<View>,
        rng: &mut Rng,
    ) -> Replica {
        let replica = match self.rule {
            Rule::Random => view.replicas[rng.usize(..view.replicas.len())],
            Rule::Hashing => view.preferred(host),
            Rule::Client => self.first_with_room(caller, host, view),
        };
        *self.entry(caller, replica) += 1;
        replica
    }

    /// Ends a request.
    pub(crate) fn end(&mut self, caller: usize, replica: Replica) {
        *self.entry(caller, replica) -= 1;
    }

    /// Returns the first replica in the order of `host` that has room for another request of
    /// this caller, or else the one with the fewest.
    fn first_with_room(&mut self, caller: usize, host: u32, view: &Arc<View>) -> Replica {
        let max = max_share(fair_share(self.concurrency, view.replicas.len()));
        let has_room = |callers: &mut Self, replica: &Replica| {
            usize::from(*callers.entry(caller, *replica)) < max
        };
        if let Some(replica) = view.ranking(host).find(|replica| has_room(self, replica)) {
            return replica;
        }
        let key = (host, Arc::as_ptr(view));
        let ranking = self.deep.remove(&key);
        let ranking = ranking.unwrap_or_else(|| view.full_ranking(host));
        let found = ranking.iter().find(|replica| has_room(self, replica));
        let found = found.or_else(|| ranking.iter().min_by_key(|r| *self.entry(caller, **r)));
        let found = *found.expect("a fleet has replicas");
        self.deep.insert(key, ranking);
        found
    }

    fn entry(&mut self, caller: usize, replica: Replica) -> &mut u16 {
        let place = usize::from(replica) * self.count + caller;
        if place >= self.in_flight.len() {
            self.in_flight
                .resize((usize::from(replica) + 1) * self.count, 0);
        }
        &mut self.in_flight[place]
    }
}
