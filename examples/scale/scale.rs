//! The scale of the model.

use std::{sync::Arc, thread};

use fetchd::config::{Limits as ServiceLimits, Origins};

use crate::{
    choice::Rule,
    fleet::Fleet,
    hosts::{Hosts, Popularity},
    pool::Limits,
    traffic::Traffic,
};

pub(crate) const REPLICAS: u16 = 1000;
pub(crate) const HOSTS: u32 = 100_000;
pub(crate) const CALLERS: usize = 500;

/// Requests per second of all callers, unless a table or a plot is about the rate.
pub(crate) const RATE: f64 = 50_000.0;

/// The mean time of a request, in seconds.
pub(crate) const EXCHANGE: f64 = 0.2;

/// Connections stay idle for 4 s. After twice that, the pools are as full as they get.
pub(crate) const WARM_UP: f64 = 8.0;

pub(crate) fn hosts(popularity: Popularity) -> Arc<Hosts> {
    Arc::new(Hosts::new(HOSTS, popularity))
}

/// Returns a fleet of this many replicas. Popularity doesn't matter to it.
pub(crate) fn fleet(replicas: u16) -> Fleet {
    Fleet::new(hosts(Popularity::Uniform), replicas)
}

/// Returns the traffic of all callers, with the default limits of a service.
pub(crate) fn traffic(rule: Rule, rate: f64) -> Traffic {
    let service = ServiceLimits::default();
    Traffic {
        rule,
        callers: CALLERS,
        concurrency: service.max_concurrency as usize,
        rate,
        exchange: EXCHANGE,
        limits: Limits {
            total: service.max_in_flight as usize,
            idle_timeout: Origins::default().pool_idle_timeout.as_micros() as u64,
        },
    }
}

/// Runs `job` for each input, side by side.
pub(crate) fn each<I: Send, T: Send>(
    inputs: impl IntoIterator<Item = I>,
    job: impl Fn(I) -> T + Sync,
) -> Vec<T> {
    let job = &job;
    thread::scope(|scope| {
        let inputs = inputs.into_iter();
        let threads: Vec<_> = inputs
            .map(|input| scope.spawn(move || job(input)))
            .collect();
        let join = |thread: thread::ScopedJoinHandle<'_, T>| thread.join().expect("a job panicked");
        threads.into_iter().map(join).collect()
    })
}
