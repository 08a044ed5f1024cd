//! The share of reused connections, by the rate of requests.

use std::sync::Arc;

use crate::{
    choice::Rule,
    fleet::View,
    hosts::Popularity,
    scale::{WARM_UP, each, hosts, traffic},
    traffic::{Change, Notice},
};

/// Requests per second of all callers.
pub(crate) const RATES: [f64; 6] = [1e3, 3e3, 1e4, 3e4, 1e5, 3e5];

/// The share of reused connections at each of the [`RATES`].
pub(crate) struct Curve {
    pub(crate) popularity: Popularity,
    pub(crate) rule: Rule,
    pub(crate) shares: Vec<f64>,
}

/// The time that counts, in seconds, after the warm-up.
const MEASURED: f64 = 4.0;

pub(crate) fn curves(view: &Arc<View>) -> Vec<Curve> {
    let kinds = Popularity::ALL
        .map(|popularity| [Rule::Client, Rule::Random].map(|rule| (popularity, rule)));
    each(kinds.into_iter().flatten(), |(popularity, rule)| {
        let hosts = hosts(popularity);
        let share = |rate: f64| {
            let start = [Change::start(view)];
            let record = traffic(rule, rate).run(&hosts, &start, WARM_UP + MEASURED, &|_| false);
            record.reuse(WARM_UP, WARM_UP + MEASURED)
        };
        Curve {
            popularity,
            rule,
            shares: RATES.map(share).to_vec(),
        }
    })
}

impl Change {
    /// Returns the set of replicas at the start of a run.
    pub(crate) fn start(view: &Arc<View>) -> Self {
        Self {
            at: 0.0,
            view: Arc::clone(view),
            notice: Notice::LookUp,
        }
    }
}
