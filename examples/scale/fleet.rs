//! The replicas, and the order in which each host prefers them.

use std::{
    cmp::Reverse,
    sync::{Arc, LazyLock},
    thread,
};

use fetchd::client::internals::weight;

use crate::hosts::Hosts;

/// Identifies a replica. Numbers are never used twice, like addresses in a rollout.
pub(crate) type Replica = u16;

/// The replicas that there are, with the preferences of all hosts. All callers compute the
/// same ones, so the fleet computes them once.
///
/// If a replica comes, it's weighed for each host. If one goes, it leaves the rankings. So
/// most changes cost one hash for each host, rather than one for each host and replica.
#[derive(Clone)]
pub(crate) struct Fleet {
    hosts: Arc<Hosts>,
    replicas: Vec<Replica>,
    next: Replica,
    rankings: Vec<Ranking>,
}

/// The first few replicas that a host prefers, and their weights, highest weight first. It has
/// no gaps: all other replicas have lower weights.
type Ranking = Vec<(u64, Replica)>;

/// How many replicas a ranking has at most.
const DEPTH: usize = 8;

/// A snapshot of the fleet, as a caller knows it.
pub(crate) struct View {
    hosts: Arc<Hosts>,
    pub(crate) replicas: Vec<Replica>,
    rankings: Vec<[Option<Replica>; DEPTH]>,
}

impl Fleet {
    pub(crate) fn new(hosts: Arc<Hosts>, count: u16) -> Self {
        let mut fleet = Self {
            rankings: vec![Vec::new(); hosts.count()],
            hosts,
            replicas: (0..count).collect(),
            next: count,
        };
        let replicas = &fleet.replicas;
        for_each_host(&mut fleet.rankings, |host, ranking| {
            *ranking = rank(&fleet.hosts.names()[host], replicas);
        });
        fleet
    }

    /// Adds `count` replicas with new addresses.
    pub(crate) fn add(&mut self, count: u16) {
        let added: Vec<Replica> = (self.next..self.next + count).collect();
        self.next += count;
        self.replicas.extend(&added);
        let names: Vec<String> = added.iter().map(|&replica| name(replica)).collect();
        let (hosts, all) = (&self.hosts, self.replicas.len());
        for_each_host(&mut self.rankings, |host, ranking| {
            for (&replica, name) in added.iter().zip(&names) {
                insert(ranking, (weight(&hosts.names()[host], name), replica), all);
            }
        });
    }

    /// Removes the first `count` replicas, which are the oldest ones.
    pub(crate) fn remove_oldest(&mut self, count: u16) {
        let last = self.replicas[usize::from(count) - 1];
        self.remove(|replica| replica <= last);
    }

    /// Removes all replicas for which `is_gone` returns true.
    pub(crate) fn remove(&mut self, is_gone: impl Fn(Replica) -> bool + Sync) {
        self.replicas.retain(|&replica| !is_gone(replica));
        let (hosts, replicas) = (&self.hosts, &self.replicas);
        for_each_host(&mut self.rankings, |host, ranking| {
            ranking.retain(|&(_, replica)| !is_gone(replica));
            if ranking.is_empty() {
                *ranking = rank(&hosts.names()[host], replicas);
            }
        });
    }

    /// Returns the replica that each host prefers.
    pub(crate) fn preferences(&self) -> Vec<Replica> {
        self.rankings.iter().map(|ranking| ranking[0].1).collect()
    }

    pub(crate) fn view(&self) -> Arc<View> {
        let rankings = self.rankings.iter().map(|ranking| {
            let mut ids = ranking.iter().map(|&(_, replica)| replica);
            std::array::from_fn(|_| ids.next())
        });
        Arc::new(View {
            hosts: Arc::clone(&self.hosts),
            replicas: self.replicas.clone(),
            rankings: rankings.collect(),
        })
    }
}

impl View {
    pub(crate) fn hosts(&self) -> &Hosts {
        &self.hosts
    }

    /// Returns the replica that `host` prefers.
    pub(crate) fn preferred(&self, host: u32) -> Replica {
        self.rankings[host as usize][0].expect("a fleet has replicas")
    }

    /// Returns the replicas in the order in which `host` prefers them, as far as they are
    /// known without hashing again.
    pub(crate) fn ranking(&self, host: u32) -> impl Iterator<Item = Replica> {
        self.rankings[host as usize]
            .iter()
            .map_while(|&known| known)
    }

    /// Returns all replicas in the order in which `host` prefers them.
    pub(crate) fn full_ranking(&self, host: u32) -> Vec<Replica> {
        let name = &self.hosts.names()[host as usize];
        let mut ranking: Ranking = weigh(name, &self.replicas).collect();
        ranking.sort_unstable_by_key(|&entry| Reverse(entry));
        ranking.into_iter().map(|(_, replica)| replica).collect()
    }

    pub(crate) fn has(&self, replica: Replica) -> bool {
        self.replicas.contains(&replica)
    }

    /// Returns the first two replicas that `host` prefers.
    pub(crate) fn first_two(&self, host: u32) -> (Replica, Replica) {
        let mut ranking = self.ranking(host);
        let mut next = || ranking.next().expect("rankings of a new fleet are longer");
        (next(), next())
    }

    /// Returns true if `host` prefers another replica than in `other`.
    pub(crate) fn moves(&self, other: &Self, host: u32) -> bool {
        self.preferred(host) != other.preferred(host)
    }

    /// Returns how many hosts prefer another replica than in `other`.
    pub(crate) fn moved(&self, other: &Self) -> usize {
        let hosts = 0..self.rankings.len() as u32;
        hosts.filter(|&host| self.moves(other, host)).count()
    }
}

/// Returns the address of a replica, which is its name in the client.
pub(crate) fn name(replica: Replica) -> String {
    let [high, low] = replica.to_be_bytes();
    format!("10.20.{high}.{low}:50051")
}

fn rank(host: &str, replicas: &[Replica]) -> Ranking {
    let mut ranking = Ranking::with_capacity(DEPTH + 1);
    for entry in weigh(host, replicas) {
        if ranking.len() < DEPTH || entry > ranking[DEPTH - 1] {
            let place = ranking.partition_point(|known| *known > entry);
            ranking.insert(place, entry);
            ranking.truncate(DEPTH);
        }
    }
    ranking
}

/// Returns the weights of all `replicas`.
fn weigh(host: &str, replicas: &[Replica]) -> impl Iterator<Item = (u64, Replica)> {
    static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| (0..=Replica::MAX).map(name).collect());
    let names = &*NAMES;
    let weighed = move |&replica: &Replica| (weight(host, &names[usize::from(replica)]), replica);
    replicas.iter().map(weighed)
}

/// Adds a replica to a ranking, if it belongs there. `all` is the number of replicas.
fn insert(ranking: &mut Ranking, entry: (u64, Replica), all: usize) {
    let place = ranking.partition_point(|known| *known > entry);
    // Below the last one, there may be others that aren't in the ranking.
    let is_last = place == ranking.len();
    if is_last && ranking.len() < all - 1 {
        return;
    }
    ranking.insert(place, entry);
    ranking.truncate(DEPTH);
}

/// Runs `update` for each host, on all cores.
fn for_each_host(rankings: &mut [Ranking], update: impl Fn(usize, &mut Ranking) + Sync) {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let size = rankings.len().div_ceil(cores).max(1);
    thread::scope(|scope| {
        for (chunk, rankings) in rankings.chunks_mut(size).enumerate() {
            let update = &update;
            scope.spawn(move || {
                for (place, ranking) in rankings.iter_mut().enumerate() {
                    update(chunk * size + place, ranking);
                }
            });
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hosts::Popularity;

    /// The rankings that are kept up to date are those of a new computation.
    #[test]
    fn rankings_are_those_of_all_weights() {
        let mut fleet = Fleet::new(Arc::new(Hosts::new(300, Popularity::Uniform)), 20);
        for _ in 0..40 {
            fleet.add(3);
            fleet.remove_oldest(3);
            let view = fleet.view();
            for host in 0..300 {
                let full = view.full_ranking(host);
                let known: Vec<_> = view.ranking(host).collect();
                assert!(!known.is_empty() && full.starts_with(&known));
            }
        }
    }

    #[test]
    fn only_the_hosts_of_a_lost_replica_move() {
        let mut fleet = Fleet::new(Arc::new(Hosts::new(1000, Popularity::Uniform)), 10);
        let before = fleet.view();
        fleet.remove(|replica| replica == 4);
        let after = fleet.view();
        let owned = (0..1000).filter(|&host| before.preferred(host) == 4);
        assert_eq!(after.moved(&before), owned.count());
    }
}
