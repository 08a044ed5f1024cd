//! Requests over time, and the connections that they use.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use fastrand::Rng;

use crate::{
    choice::{Callers, Rule},
    fleet::{Replica, View},
    hosts::Hosts,
    pool::{Limits, Pool},
    spread::Spread,
};

/// The requests of all callers. They arrive independently of each other (a Poisson process).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Traffic {
    pub(crate) rule: Rule,
    pub(crate) callers: usize,
    /// The concurrency of each caller's list.
    pub(crate) concurrency: usize,
    /// Requests per second, of all callers together.
    pub(crate) rate: f64,
    /// The mean time that a request takes, in seconds. The times have an exponential
    /// distribution.
    pub(crate) exchange: f64,
    pub(crate) limits: Limits,
}

/// Another set of replicas.
pub(crate) struct Change {
    /// When, in seconds.
    pub(crate) at: f64,
    pub(crate) view: Arc<View>,
    /// How callers learn of it.
    pub(crate) notice: Notice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notice {
    /// By the next look-up of the name. Replicas that are gone serve until then: they drain.
    LookUp,
    /// At once, since connections break. Requests in flight are sent to another replica.
    Reset,
}

/// What happened in a short time.
#[derive(Clone, Default)]
pub(crate) struct Slice {
    all: Reuse,
    /// Of the watched hosts alone.
    watched: Reuse,
    /// The requests of each replica.
    loads: Vec<u32>,
}

/// Requests, and how many of them were on a reused connection.
#[derive(Clone, Copy, Default)]
struct Reuse {
    requests: u32,
    reused: u32,
}

/// The requests of a run, in slices of [`SLICE`] seconds.
pub(crate) struct Record {
    pub(crate) slices: Vec<Slice>,
}

/// The length of a slice, in seconds.
pub(crate) const SLICE: f64 = 0.5;

/// How often a caller looks up the name, in seconds.
pub(crate) const LOOK_UP: f64 = 5.0;

/// A running simulation.
struct Simulation<'a> {
    traffic: Traffic,
    hosts: &'a Hosts,
    changes: &'a [Change],
    is_watched: &'a dyn Fn(u32) -> bool,
    callers: Callers,
    /// When each caller looks up the name first, in seconds.
    phases: Vec<f64>,
    pools: Vec<Option<Pool>>,
    running: BinaryHeap<Reverse<Exchange>>,
    slices: Vec<Slice>,
    rng: Rng,
}

/// A request in flight. The one that ends first is the smallest.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Exchange {
    /// In microseconds.
    end: u64,
    caller: u32,
    host: u32,
    replica: Replica,
}

impl Traffic {
    /// Simulates `duration` seconds. The first of the `changes` is the set at the start.
    pub(crate) fn run(
        self,
        hosts: &Hosts,
        changes: &[Change],
        duration: f64,
        is_watched: &dyn Fn(u32) -> bool,
    ) -> Record {
        let mut rng = Rng::with_seed(2);
        let mut simulation = Simulation {
            traffic: self,
            hosts,
            changes,
            is_watched,
            callers: Callers::new(self.rule, self.callers, self.concurrency),
            phases: (0..self.callers).map(|_| LOOK_UP * rng.f64()).collect(),
            pools: Vec::new(),
            running: BinaryHeap::new(),
            slices: vec![Slice::default(); (duration / SLICE).ceil() as usize],
            rng,
        };
        simulation.run(duration);
        Record {
            slices: simulation.slices,
        }
    }
}

impl Simulation<'_> {
    fn run(&mut self, duration: f64) {
        let mut resets = self.changes.iter().filter(|c| c.notice == Notice::Reset);
        let mut reset = resets.next();
        let mut now = 0.0;
        loop {
            now += exponential(&mut self.rng) / self.traffic.rate;
            if now >= duration {
                return;
            }
            if let Some(change) = reset.filter(|change| change.at <= now) {
                self.end_until(change.at);
                self.reset(change);
                reset = resets.next();
            }
            self.end_until(now);
            let caller = self.rng.usize(..self.traffic.callers);
            let host = self.hosts.draw(&mut self.rng);
            self.start(caller, host, now);
        }
    }

    fn start(&mut self, caller: usize, host: u32, now: f64) {
        let view = Arc::clone(self.view(caller, now));
        let replica = self.callers.start(caller, host, &view, &mut self.rng);
        let is_reused = self.pool(replica).take(host, micros(now));
        let slice = &mut self.slices[(now / SLICE) as usize];
        slice.record(replica, is_reused, (self.is_watched)(host));
        let time = exponential(&mut self.rng) * self.traffic.exchange;
        self.running.push(Reverse(Exchange {
            end: micros(now + time),
            caller: caller as u32,
            host,
            replica,
        }));
    }

    /// Ends the exchanges that are over by `now`.
    fn end_until(&mut self, now: f64) {
        while let Some(Reverse(exchange)) = self.running.peek().copied()
            && exchange.end <= micros(now)
        {
            self.running.pop();
            self.callers.end(exchange.caller as usize, exchange.replica);
            self.pool(exchange.replica).put(exchange.host, exchange.end);
        }
    }

    /// Sends the requests in flight at the lost replicas again.
    fn reset(&mut self, change: &Change) {
        let running = std::mem::take(&mut self.running).into_sorted_vec();
        let is_lost = |exchange: &Reverse<Exchange>| !change.view.has(exchange.0.replica);
        let (lost, kept): (Vec<_>, Vec<_>) = running.into_iter().partition(is_lost);
        self.running = kept.into();
        for Reverse(exchange) in lost {
            self.callers.end(exchange.caller as usize, exchange.replica);
            self.start(exchange.caller as usize, exchange.host, change.at);
        }
    }

    /// Returns the set of replicas that the caller knows.
    fn view(&self, caller: usize, now: f64) -> &Arc<View> {
        let since_look_up = (now - self.phases[caller]).rem_euclid(LOOK_UP);
        let is_known = |change: &Change| match change.notice {
            Notice::LookUp => change.at <= now - since_look_up,
            Notice::Reset => change.at <= now,
        };
        let later = self.changes[1..]
            .iter()
            .rev()
            .find(|change| is_known(change));
        &later.unwrap_or(&self.changes[0]).view
    }

    fn pool(&mut self, replica: Replica) -> &mut Pool {
        let place = usize::from(replica);
        if place >= self.pools.len() {
            self.pools.resize_with(place + 1, || None);
        }
        self.pools[place].get_or_insert_with(|| Pool::new(self.traffic.limits))
    }
}

impl Slice {
    fn record(&mut self, replica: Replica, is_reused: bool, is_watched: bool) {
        self.all.record(is_reused);
        if is_watched {
            self.watched.record(is_reused);
        }
        let place = usize::from(replica);
        if place >= self.loads.len() {
            self.loads.resize(place + 1, 0);
        }
        self.loads[place] += 1;
    }
}

impl Reuse {
    fn record(&mut self, is_reused: bool) {
        self.requests += 1;
        self.reused += u32::from(is_reused);
    }

    fn share(reuses: impl Iterator<Item = Self>) -> f64 {
        let (requests, reused) = reuses.fold((0, 0), |(requests, reused), reuse| {
            (requests + reuse.requests, reused + reuse.reused)
        });
        f64::from(reused) / f64::from(requests)
    }
}

impl Record {
    /// Returns the share of reused connections between two times, in seconds.
    pub(crate) fn reuse(&self, from: f64, to: f64) -> f64 {
        Reuse::share(self.between(from, to).iter().map(|slice| slice.all))
    }

    /// Returns the same of the watched hosts.
    pub(crate) fn watched_reuse(&self, from: f64, to: f64) -> f64 {
        Reuse::share(self.between(from, to).iter().map(|slice| slice.watched))
    }

    /// Returns how evenly the requests between two times are spread over these replicas.
    pub(crate) fn spread(&self, from: f64, to: f64, replicas: &[Replica]) -> Spread {
        let slices = self.between(from, to);
        let load = |replica: &Replica| {
            let loads = slices
                .iter()
                .map(|slice| slice.loads.get(usize::from(*replica)));
            loads.map(|load| f64::from(*load.unwrap_or(&0))).sum()
        };
        Spread::of(replicas.iter().map(load))
    }

    fn between(&self, from: f64, to: f64) -> &[Slice] {
        let place = |time: f64| ((time / SLICE).round() as usize).min(self.slices.len());
        &self.slices[place(from)..place(to)]
    }
}

/// Draws from the exponential distribution with mean 1.
fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

fn micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}
