//! What a run consists of. The seed decides all of it.

use std::time::Duration;

use fetchd::config::Config;

use crate::{
    caller::Caller,
    fault::{Fault, Timed},
    list::{List, MAX_DEFAULT_CONCURRENCY, MustSucceed, Style},
    oracle::Limits,
    origin::{Behavior, Origin},
};

/// The parties of a run, and what happens to them.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) config: Config,
    /// How many replicas the service should have.
    pub(crate) replicas: usize,
    pub(crate) origins: Vec<Origin>,
    pub(crate) callers: Vec<Caller>,
    /// How long the name of the service takes to have other addresses.
    pub(crate) name_lag: Duration,
    pub(crate) faults: Vec<Timed>,
}

/// What kind of faults there are, apart from those of origins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conditions {
    /// None.
    NoFaults,
    /// Replicas come and go, as in a rollout or when the service is scaled.
    Rollout,
    /// Anything.
    AnyFaults,
}

/// Faults begin until then, in milliseconds.
const FAULTS_END: u64 = 40_000;

/// How long one request of a healthy origin takes at most: it answers within 300 ms, over a
/// new connection with a look-up before. Lost packets are covered by the average.
const PROMPT: Duration = Duration::from_millis(500);

/// How long one takes besides the latency of its origin, which some healthy ones have more of.
const PROMPT_OVERHEAD: Duration = Duration::from_millis(200);

/// How long a list may take to begin and to end.
const PROMPT_START: Duration = Duration::from_secs(5);

/// The least timeout of requests that must succeed.
const AMPLE_TIMEOUT: Duration = Duration::from_secs(4);

/// How many replicas may be lost before a client may stop sending a request again.
const MOST_LOSSES: usize = 3;

/// The network that origins are in. The egress policy has to allow it, since it's reserved
/// for documentation.
const ORIGINS: &str = "203.0.0.0/8";

impl Scenario {
    pub(crate) fn generate(rng: &mut fastrand::Rng) -> Self {
        let replicas = match rng.u32(..10) {
            0..3 => 1,
            3..7 => rng.usize(2..4),
            7..9 => rng.usize(4..9),
            _ => rng.usize(9..31),
        };
        let conditions = match rng.u32(..6) {
            0 => Conditions::NoFaults,
            1 => Conditions::Rollout,
            _ => Conditions::AnyFaults,
        };
        let timeout = Duration::from_millis(rng.u64(500..6_000));
        let origins = origins(rng);
        let callers = callers(rng, &origins, conditions, timeout);
        let faults = faults(rng, conditions);
        let mut scenario = Self {
            config: config(rng),
            replicas,
            origins,
            callers,
            name_lag: Duration::from_millis(if rng.bool() { 0 } else { rng.u64(..15_000) }),
            faults,
        };
        if scenario.loses_replicas_only() {
            scenario.expect_resends();
        }
        scenario.expect_ends();
        if conditions == Conditions::NoFaults && !scenario.may_be_full() {
            scenario.expect_promptness();
        }
        scenario
    }

    /// Returns true if a few replicas are lost, there's always another one, and all else is well.
    fn loses_replicas_only(&self) -> bool {
        let faults = || self.faults.iter().map(|timed| &timed.fault);
        let lost = faults().filter(|fault| !fault.loses_nothing());
        let shrinks = faults().filter(|fault| matches!(fault, Fault::Shrink { .. }));
        let losses = lost.clone().count();
        losses <= MOST_LOSSES
            && lost.clone().all(Fault::loses_one_replica)
            && self.replicas > losses + shrinks.count()
    }

    /// Lets GETs of healthy origins succeed: those that are lost with a replica are sent again.
    fn expect_resends(&mut self) {
        for list in self.lists_mut() {
            let is_patient = matches!(
                list.style,
                Style::Collect | Style::InOrder | Style::Stream(_)
            );
            let is_ample = list.timeout >= AMPLE_TIMEOUT;
            if list.must_succeed == MustSucceed::None && is_patient && is_ample {
                list.must_succeed = MustSucceed::Gets;
            }
        }
    }

    /// Bounds the time of all lists without faults. While a list isn't as wide as it could be,
    /// others have all slots of a replica or a host. If the service is full, lists wait for
    /// their turn.
    fn expect_ends(&mut self) {
        let limits = &self.config.limits;
        let default = limits.default_concurrency;
        let all: Duration = self.lists().map(|list| list.own_time(default)).sum();
        let slots = self.lists().map(|list| list.slot_time(default));
        let slots: Duration = slots.sum();
        let mut shared = slots / limits.max_in_flight;
        if limits.max_per_host > 0 {
            shared += slots / limits.max_per_host;
        }
        if self.may_be_full() {
            shared += all;
        }
        for list in self.lists_mut() {
            list.takes = list.own_time(default) + shared;
        }
    }

    /// Bounds the time of lists that have healthy origins only. Whatever others do, each batch
    /// has a slot at all times, and such a list only waits for others at the limit of a host.
    fn expect_promptness(&mut self) {
        let healthy = self.lists().filter(|list| list.from_healthy);
        let of_all: u32 = healthy.map(List::length).sum();
        let is_shared = self.config.limits.max_per_host > 0;
        let behaviors = self.origins.iter().map(|origin| &origin.behavior);
        let healthy = behaviors.filter(|behavior| behavior.is_healthy());
        let slowest = healthy.map(|behavior| behavior.latency.end).max();
        let slowest = Duration::from_millis(slowest.unwrap_or_default());
        let prompt = PROMPT.max(slowest + PROMPT_OVERHEAD);
        for list in self.lists_mut() {
            if list.must_succeed == MustSucceed::All && list.from_healthy {
                let requests = if is_shared { of_all } else { list.length() };
                list.ends_within = Some(list.rests() + PROMPT_START + prompt * requests);
            }
        }
    }

    pub(crate) fn lists(&self) -> impl Iterator<Item = &List> {
        self.callers.iter().flat_map(|caller| &caller.lists)
    }

    fn lists_mut(&mut self) -> impl Iterator<Item = &mut List> {
        self.callers.iter_mut().flat_map(|caller| &mut caller.lists)
    }

    /// Returns true if all callers together may have more calls or connections than a replica
    /// accepts.
    fn may_be_full(&self) -> bool {
        let calls: usize = self.lists().map(List::most_calls).sum();
        let limits = &self.config.limits;
        calls > limits.batches() as usize || self.callers.len() > limits.max_connections as usize
    }

    /// Returns the limits that the replicas have to keep.
    pub(crate) fn limits(&self) -> Limits {
        Limits {
            max_in_flight: self.config.limits.max_in_flight as usize,
            max_per_host: self.config.limits.max_per_host as usize,
            may_be_full: self.may_be_full(),
            may_be_lost: !self.faults.iter().all(|timed| timed.fault.loses_nothing()),
        }
    }
}

fn config(rng: &mut fastrand::Rng) -> Config {
    let mut config = Config::default();
    let limits = &mut config.limits;
    if rng.bool() {
        limits.max_in_flight = rng.u32(4..64);
    }
    let most = limits.max_in_flight / 2;
    limits.max_batches = Some(if rng.u32(..4) == 0 {
        rng.u32(1..=most)
    } else {
        most
    });
    if rng.bool() {
        limits.max_per_host = rng.u32(1..9);
    }
    if rng.u32(..4) == 0 {
        limits.max_connections = rng.u32(1..5);
    }
    limits.default_concurrency = rng.u32(1..=MAX_DEFAULT_CONCURRENCY);
    if rng.bool() {
        limits.max_connection_age = Duration::from_millis(rng.u64(500..20_000));
    }
    if rng.bool() {
        limits.stall_timeout = Duration::from_millis(rng.u64(1_000..20_000));
    }
    config.drain_delay = Duration::from_millis(if rng.bool() { 0 } else { rng.u64(..5_000) });
    config.drain_timeout = Duration::from_millis(rng.u64(..10_000));
    let origins = ORIGINS.parse().expect("the network is valid");
    config.egress.allow_net = vec![origins];
    config
}

fn origins(rng: &mut fastrand::Rng) -> Vec<Origin> {
    let count = rng.usize(1..9);
    let mut origins: Vec<_> = (0..count)
        .map(|number| Origin {
            host: format!("origin-{number}.example"),
            behavior: match rng.u32(..3) {
                0 => Behavior::healthy(rng),
                _ => Behavior::faulty(rng),
            },
        })
        .collect();
    for origin in 0..count {
        if origins[origin].behavior.faults > 0 && rng.bool() {
            let to = &origins[rng.usize(..count)].host;
            origins[origin].behavior.redirects_to = Some(format!("http://{to}"));
        }
    }
    origins
}

fn callers(
    rng: &mut fastrand::Rng,
    origins: &[Origin],
    conditions: Conditions,
    timeout: Duration,
) -> Vec<Caller> {
    let count = rng.usize(1..5);
    let mut caller = |_| {
        let is_patient = rng.bool();
        let lists = (0..rng.usize(1..4)).map(|_| list(rng, origins, conditions, timeout));
        Caller {
            lists: lists.collect(),
            is_patient,
        }
    };
    (0..count).map(&mut caller).collect()
}

fn list(
    rng: &mut fastrand::Rng,
    origins: &[Origin],
    conditions: Conditions,
    timeout: Duration,
) -> List {
    let healthy: Vec<_> = (0..origins.len())
        .filter(|origin| origins[*origin].behavior.is_healthy())
        .collect();
    let all: Vec<_> = (0..origins.len()).collect();
    let from_healthy = !healthy.is_empty() && rng.bool();
    let hosts = if from_healthy { healthy } else { all };
    let length = if rng.u32(..10) == 0 { 200 } else { 40 };
    let count = rng.usize(..length);
    let style = match rng.u32(..8) {
        0 => Style::Cancel {
            after: rng.usize(..=count),
        },
        1 => Style::InOrder,
        2 => Style::Slow(rest(rng)),
        3 => Style::Stream(Duration::from_millis(rng.u64(..300))),
        4 => Style::Execute {
            rest: if rng.bool() {
                Duration::ZERO
            } else {
                rest(rng)
            },
            patience: rng.bool().then(|| Duration::from_millis(rng.u64(1..3_000))),
        },
        5 => Style::Deadline(Duration::from_millis(rng.u64(1..20_000))),
        _ => Style::Collect,
    };
    let posts = if rng.bool() { 0 } else { rng.u32(..100) };
    let may_fail = matches!(
        style,
        Style::Cancel { .. }
            | Style::Deadline(_)
            | Style::Slow(_)
            | Style::Execute {
                patience: Some(_),
                ..
            }
    );
    let must_succeed = if may_fail || conditions == Conditions::AnyFaults {
        MustSucceed::None
    } else {
        MustSucceed::All
    };
    List {
        from_healthy,
        ends_within: None,
        takes: Duration::ZERO,
        is_after_all: false,
        starts: Duration::from_millis(rng.u64(..20_000)),
        hosts: (0..count)
            .map(|_| hosts[rng.usize(..hosts.len())])
            .collect(),
        posts,
        max_attempts: if rng.bool() { 1 } else { rng.u32(1..5) },
        concurrency: if rng.bool() { 0 } else { rng.u32(1..30) },
        timeout: match must_succeed {
            MustSucceed::All => timeout.max(AMPLE_TIMEOUT),
            _ => timeout,
        },
        must_succeed,
        style,
    }
}

/// How long a slow caller rests.
fn rest(rng: &mut fastrand::Rng) -> Duration {
    let most = if rng.u32(..4) == 0 { 4_000 } else { 400 };
    Duration::from_millis(rng.u64(1..most))
}

fn faults(rng: &mut fastrand::Rng, conditions: Conditions) -> Vec<Timed> {
    let count = match conditions {
        Conditions::NoFaults => 0,
        _ => rng.usize(1..12),
    };
    let mut faults: Vec<_> = (0..count)
        .map(|_| Timed {
            at: Duration::from_millis(rng.u64(..FAULTS_END)),
            fault: match conditions {
                Conditions::AnyFaults => Fault::random(rng),
                _ => Fault::rollout(rng),
            },
        })
        .collect();
    faults.sort_by_key(|timed| timed.at);
    faults
}
