//! How evenly the requests of all callers are spread over the replicas.

use std::sync::Arc;

use fastrand::Rng;
use fetchd::client::internals::{fair_share, max_share};

use crate::{
    choice::{Callers, Rule},
    fleet::View,
    hosts::{Hosts, Popularity},
    scale::{CALLERS, each, hosts},
};

/// Requests a replica gets, relative to the mean over all replicas.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) max: f64,
    pub(crate) p99: f64,
}

/// The mean number of requests that a replica gets in a run.
const PER_REPLICA: usize = 1000;

impl Spread {
    /// Returns the spread of these counts of requests, one for each replica.
    pub(crate) fn of(counts: impl Iterator<Item = f64>) -> Self {
        let mut counts: Vec<f64> = counts.collect();
        counts.sort_unstable_by(f64::total_cmp);
        let mean = counts.iter().sum::<f64>() / counts.len() as f64;
        let place = (counts.len() * 99).div_ceil(100) - 1;
        Self {
            max: counts[counts.len() - 1] / mean,
            p99: counts[place] / mean,
        }
    }
}

/// Runs lists of this `concurrency` that never end: as soon as a request ends, its caller sends
/// the next. Any request may be the next to end.
pub(crate) fn run(
    rule: Rule,
    callers: usize,
    concurrency: usize,
    view: &Arc<View>,
    hosts: &Hosts,
) -> Spread {
    let mut rng = Rng::with_seed(1);
    let mut callers = Callers::new(rule, callers, concurrency);
    let mut running = Vec::with_capacity(callers.count() * concurrency);
    for caller in (0..callers.count()).cycle().take(running.capacity()) {
        let replica = callers.start(caller, hosts.draw(&mut rng), view, &mut rng);
        running.push((caller, replica));
    }
    // The first half of the requests fills the replicas. They aren't counted.
    let requests = PER_REPLICA * view.replicas.len();
    let mut counts = vec![0.0; 1 + usize::from(*view.replicas.iter().max().expect("some"))];
    for request in 0..2 * requests.max(running.len()) {
        let ended = rng.usize(..running.len());
        let (caller, replica) = running[ended];
        callers.end(caller, replica);
        let replica = callers.start(caller, hosts.draw(&mut rng), view, &mut rng);
        running[ended].1 = replica;
        if request >= requests.max(running.len()) {
            counts[usize::from(replica)] += 1.0;
        }
    }
    Spread::of(
        view.replicas
            .iter()
            .map(|&replica| counts[usize::from(replica)]),
    )
}

/// Returns the largest load that the client's rule allows, relative to the mean.
pub(crate) fn bound(concurrency: usize, replicas: usize) -> f64 {
    let max = max_share(fair_share(concurrency, replicas));
    max as f64 * replicas as f64 / concurrency as f64
}

/// The spread of one run.
pub(crate) struct Run {
    pub(crate) popularity: Popularity,
    pub(crate) rule: Rule,
    pub(crate) concurrency: usize,
    pub(crate) spread: Spread,
}

/// The concurrencies of the lists.
pub(crate) const CONCURRENCIES: [usize; 6] = [50, 128, 256, 512, 1024, 4096];

pub(crate) fn table(view: &Arc<View>) -> Vec<Run> {
    let kinds = Popularity::ALL.map(|popularity| Rule::ALL.map(|rule| (popularity, rule)));
    let runs = each(kinds.into_iter().flatten(), |(popularity, rule)| {
        let hosts = hosts(popularity);
        CONCURRENCIES.map(|concurrency| Run {
            popularity,
            rule,
            concurrency,
            spread: run(rule, CALLERS, concurrency, view, &hosts),
        })
    });
    runs.into_iter().flatten().collect()
}
