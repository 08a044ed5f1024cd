//! A replica is killed.

use std::collections::HashMap;

use crate::{
    choice::Rule,
    fleet::{Fleet, Replica, View},
    hosts::{Hosts, Popularity},
    scale::{RATE, REPLICAS, WARM_UP, each, hosts, traffic},
    traffic::{Change, Notice, Record},
};

/// What the loss of a replica does to the others.
pub(crate) struct Loss {
    pub(crate) popularity: Popularity,
    /// Hosts that move: of the average replica, and of the one that has most of them.
    pub(crate) moved: (f64, usize),
    /// The load that the most affected other replica gets on top, relative to the mean load of
    /// a replica: in the median over all replicas that may be lost, and the highest.
    pub(crate) extra: (f64, f64),
    /// The requests while the busiest replica is lost. Its hosts are watched.
    pub(crate) record: Record,
}

/// When the replica is lost, in seconds.
pub(crate) const AT: f64 = WARM_UP;

pub(crate) const DURATION: f64 = AT + 12.0;

pub(crate) fn losses(fleet: &Fleet) -> Vec<Loss> {
    let view = fleet.view();
    each(Popularity::ALL, |popularity| {
        let hosts = hosts(popularity);
        let lost = busiest(&view, &hosts);
        let mut rest = fleet.clone();
        rest.remove(|replica| replica == lost);
        let change = Change {
            at: AT,
            view: rest.view(),
            notice: Notice::Reset,
        };
        let is_moved = |host| view.preferred(host) == lost;
        let changes = [Change::start(&view), change];
        Loss {
            popularity,
            moved: moved(&view),
            extra: extra(&view, &hosts),
            record: traffic(Rule::Client, RATE).run(&hosts, &changes, DURATION, &is_moved),
        }
    })
}

/// Returns the replica with the most popular hosts.
fn busiest(view: &View, hosts: &Hosts) -> Replica {
    let loads = loads(view, hosts);
    let all = view.replicas.iter().copied();
    all.max_by(|a, b| loads[a].total_cmp(&loads[b]))
        .expect("a fleet has replicas")
}

fn loads(view: &View, hosts: &Hosts) -> HashMap<Replica, f64> {
    let mut loads: HashMap<Replica, f64> = view.replicas.iter().map(|&one| (one, 0.0)).collect();
    for (host, share) in (0..).zip(hosts.shares()) {
        *loads.entry(view.preferred(host)).or_default() += share;
    }
    loads
}

/// Returns how many hosts prefer a replica: on average, and at most.
fn moved(view: &View) -> (f64, usize) {
    let mut counts: HashMap<Replica, usize> = HashMap::new();
    for host in 0..view.hosts().count() as u32 {
        *counts.entry(view.preferred(host)).or_default() += 1;
    }
    let sum: usize = counts.values().sum();
    let max = counts.values().max().copied().unwrap_or_default();
    (sum as f64 / f64::from(REPLICAS), max)
}

/// Each lost host moves to the second replica that it prefers. Returns the highest load that
/// any of these gets, relative to the mean: in the median over all lost replicas, and at most.
fn extra(view: &View, hosts: &Hosts) -> (f64, f64) {
    let mut extras: HashMap<(Replica, Replica), f64> = HashMap::new();
    for (host, share) in (0..).zip(hosts.shares()) {
        *extras.entry(view.first_two(host)).or_default() += share;
    }
    let mut highest: HashMap<Replica, f64> = HashMap::new();
    for ((lost, _), extra) in extras {
        let known = highest.entry(lost).or_default();
        *known = known.max(extra);
    }
    let mut highest: Vec<f64> = highest.into_values().collect();
    highest.sort_unstable_by(f64::total_cmp);
    let mean = 1.0 / f64::from(REPLICAS);
    let [median, max] = [highest.len() / 2, highest.len() - 1].map(|place| highest[place] / mean);
    (median, max)
}
