//! All replicas are replaced by new ones, with new addresses.

use std::sync::Arc;

use crate::{
    choice::Rule,
    fleet::{Fleet, View},
    hosts::Popularity,
    scale::{RATE, REPLICAS, WARM_UP, each, hosts, traffic},
    spread::Spread,
    traffic::{Change, Notice, Record},
};

/// How many replicas are replaced at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    One,
    Quarter,
    All,
}

impl Step {
    pub(crate) const ALL: [Self; 3] = [Self::One, Self::Quarter, Self::All];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::One => "one",
            Self::Quarter => "25 %",
            Self::All => "all",
        }
    }

    /// How much later the old ones begin to drain, in seconds. Then the next ones are ready
    /// after the same time.
    fn pause(self) -> f64 {
        match self {
            Self::One => 2.0,
            Self::Quarter | Self::All => 10.0,
        }
    }

    fn size(self) -> u16 {
        match self {
            Self::One => 1,
            Self::Quarter => REPLICAS / 4,
            Self::All => REPLICAS,
        }
    }
}

/// How often a host moves in a whole rollout.
pub(crate) struct Moves {
    pub(crate) step: Step,
    /// On average over all hosts.
    pub(crate) mean: f64,
    /// The share of hosts that move at once, when replicas come or go.
    pub(crate) at_once: f64,
}

/// The requests during a rollout, or during its first steps.
pub(crate) struct Run {
    pub(crate) popularity: Popularity,
    pub(crate) rule: Rule,
    pub(crate) step: Step,
    pub(crate) record: Record,
    /// The spread before the rollout, and the highest while it runs.
    pub(crate) spreads: [Spread; 2],
}

/// When the first new replicas are ready, in seconds.
pub(crate) const AT: f64 = WARM_UP;

/// How long replicas are replaced, in seconds. That's enough for four quarters.
const LENGTH: f64 = 80.0;

/// The time that the load is averaged over, in seconds.
pub(crate) const WINDOW: f64 = 5.0;

pub(crate) const DURATION: f64 = AT + LENGTH + 10.0;

/// Replaces all replicas, without any requests.
pub(crate) fn moves(fleet: &Fleet) -> Vec<Moves> {
    each(Step::ALL, |step| {
        let mut fleet = fleet.clone();
        let hosts = fleet.preferences().len() as f64;
        let (mut sum, mut at_once) = (0, 0);
        for _ in 0..REPLICAS / step.size() {
            for change in [Fleet::add, Fleet::remove_oldest] {
                let before = fleet.preferences();
                change(&mut fleet, step.size());
                let after = fleet.preferences();
                let moved = before
                    .iter()
                    .zip(&after)
                    .filter(|(old, new)| old != new)
                    .count();
                sum += moved;
                at_once = at_once.max(moved);
            }
        }
        Moves {
            step,
            mean: sum as f64 / hosts,
            at_once: at_once as f64 / hosts,
        }
    })
}

pub(crate) fn runs(fleet: &Fleet) -> Vec<Run> {
    let changes = [Step::One, Step::Quarter].map(|step| (step, changes(fleet, step)));
    let kinds = [
        (Popularity::Uniform, Rule::Client, 0),
        (Popularity::Uniform, Rule::Client, 1),
        (Popularity::Zipf, Rule::Client, 0),
        (Popularity::Zipf, Rule::Client, 1),
        (Popularity::Zipf, Rule::Random, 1),
    ];
    each(kinds, |(popularity, rule, step)| {
        let (step, changes) = &changes[step];
        let hosts = hosts(popularity);
        let record = traffic(rule, RATE).run(&hosts, changes, DURATION, &|_| false);
        let before = record.spread(AT - WINDOW, AT, &changes[0].view.replicas);
        Run {
            popularity,
            rule,
            step: *step,
            spreads: [before, highest_spread(&record, changes)],
            record,
        }
    })
}

/// Returns the changes of the sets of replicas until the end of the run.
fn changes(fleet: &Fleet, step: Step) -> Vec<Change> {
    let mut fleet = fleet.clone();
    let start: Arc<View> = fleet.view();
    let mut changes = vec![Change::start(&start)];
    let times = (0..).map(|change| f64::from(change) * step.pause());
    let times = times.take_while(|&time| time < LENGTH);
    for (time, change) in times.zip([Fleet::add, Fleet::remove_oldest].into_iter().cycle()) {
        change(&mut fleet, step.size());
        changes.push(Change {
            at: AT + time,
            view: fleet.view(),
            notice: Notice::LookUp,
        });
    }
    changes
}

/// Returns the spread of the window with the highest load of a replica, among those that end
/// right before the next change.
fn highest_spread(record: &Record, changes: &[Change]) -> Spread {
    let windows = changes.windows(2).skip(1).map(|pair| {
        let end = pair[1].at;
        record.spread(end - WINDOW, end, &pair[0].view.replicas)
    });
    windows
        .max_by(|a, b| a.max.total_cmp(&b.max))
        .expect("a rollout has changes")
}
