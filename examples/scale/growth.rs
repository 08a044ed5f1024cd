//! An autoscaler doubles the number of replicas.

use crate::{
    choice::Rule,
    fleet::Fleet,
    hosts::Popularity,
    scale::{RATE, REPLICAS, WARM_UP, each, hosts, traffic},
    spread::Spread,
    traffic::{Change, Notice, Record},
};

/// The requests while the replicas double.
pub(crate) struct Growth {
    pub(crate) popularity: Popularity,
    pub(crate) rule: Rule,
    /// The share of hosts that move.
    pub(crate) moved: f64,
    pub(crate) record: Record,
    /// The spread before, and once all callers know the new replicas.
    pub(crate) spreads: [Spread; 2],
}

/// When the new replicas are ready, in seconds.
pub(crate) const AT: f64 = WARM_UP;

pub(crate) const DURATION: f64 = AT + 20.0;

pub(crate) fn growths(fleet: &Fleet) -> Vec<Growth> {
    let mut fleet = fleet.clone();
    fleet.remove_oldest(REPLICAS / 2);
    let half = fleet.view();
    fleet.add(REPLICAS / 2);
    let full = fleet.view();
    let kinds = [
        (Popularity::Uniform, Rule::Client),
        (Popularity::Zipf, Rule::Client),
        (Popularity::Zipf, Rule::Random),
    ];
    each(kinds, |(popularity, rule)| {
        let hosts = hosts(popularity);
        let change = Change {
            at: AT,
            view: full.clone(),
            notice: Notice::LookUp,
        };
        let changes = [Change::start(&half), change];
        let record = traffic(rule, RATE).run(&hosts, &changes, DURATION, &|_| false);
        Growth {
            popularity,
            rule,
            moved: full.moved(&half) as f64 / hosts.count() as f64,
            spreads: [
                record.spread(AT - 10.0, AT, &half.replicas),
                record.spread(DURATION - 10.0, DURATION, &full.replicas),
            ],
            record,
        }
    })
}
