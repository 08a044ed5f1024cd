//! The contents of `/status.json`. `docs/admin.md` documents every field.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    Admin,
    history::{Intervals, Snapshot},
    settings::Settings,
};
use crate::{
    caller::Identity,
    gate::{Hold, Standings},
    schedule::{BusyCaller, HostStats, HostSummary, RunningBatch},
};

/// The state of a server, as of one moment.
#[derive(Serialize)]
pub(super) struct Status<'a> {
    version: &'static str,
    stage: &'static str,
    stage_s: f64,
    uptime_s: f64,
    load: Load,
    /// Requests that wait for a slot, by the limit that holds their batch back.
    queued_by_limit: BTreeMap<&'static str, usize>,
    batches: Batches,
    callers: Callers,
    history: Intervals,
    hosts: Option<Hosts>,
    settings: Settings<'a>,
}

/// How much is in use.
#[derive(Serialize)]
struct Load {
    batches: usize,
    in_flight: usize,
    queued: usize,
    queued_bytes: usize,
    connections: usize,
    stalled: i64,
}

#[derive(Serialize)]
struct Batches {
    total: usize,
    oldest: Vec<Batch>,
}

#[derive(Serialize)]
struct Batch {
    id: String,
    caller: String,
    age_s: f64,
    size: u32,
    done: u32,
    in_flight: usize,
    queued: usize,
    held_by: Option<&'static str>,
}

/// The callers of the running batches.
#[derive(Serialize)]
struct Callers {
    total: usize,
    busiest: Vec<Caller>,
}

#[derive(Serialize)]
struct Caller {
    #[serde(rename = "caller")]
    name: String,
    batches: usize,
    in_flight: usize,
    queued: usize,
}

#[derive(Serialize)]
struct Hosts {
    tracked: usize,
    evicted: u64,
    slowest: Vec<Host>,
    failing: Vec<Host>,
}

#[derive(Serialize)]
struct Host {
    #[serde(rename = "host")]
    name: String,
    in_flight: u64,
    recent_mean_s: Option<f64>,
    requests: u64,
    failures: u64,
    mean_s: Option<f64>,
    max_s: Option<f64>,
}

/// How many running batches are listed.
const MAX_BATCHES: usize = 100;

/// How many callers are listed.
const MAX_CALLERS: usize = 10;

/// How many hosts are in each list.
const MAX_HOSTS: usize = 10;

/// The maximum length of a caller's name. Names in certificates may be longer.
const MAX_NAME: usize = 256;

impl<'a> Status<'a> {
    /// Returns the status of the server behind `admin`. `history` ends at `now`.
    pub(super) fn of(admin: &'a Admin, history: Intervals, now: &Snapshot) -> Self {
        let (stage, in_stage) = admin.readiness.stage();
        let activity = admin.scheduler.activity(MAX_BATCHES);
        Self {
            version: env!("CARGO_PKG_VERSION"),
            stage: stage.name(),
            stage_s: seconds(in_stage),
            uptime_s: seconds(admin.started.elapsed()),
            load: Load {
                batches: activity.total,
                in_flight: now.state.gate.in_flight,
                queued: now.state.gate.waiting,
                queued_bytes: now.state.queued_bytes,
                connections: now.state.callers.active + now.state.callers.idle,
                stalled: admin.metrics.stalled.get(),
            },
            queued_by_limit: queued_by_limit(&activity.standings),
            batches: Batches {
                total: activity.total,
                oldest: activity.oldest.into_iter().map(Batch::from).collect(),
            },
            callers: Callers::from(activity.callers),
            history,
            hosts: admin.scheduler.host_stats().map(Hosts::from),
            settings: Settings::of(&admin.config),
        }
    }
}

impl From<RunningBatch> for Batch {
    fn from(batch: RunningBatch) -> Self {
        let standing = batch.standing;
        Self {
            id: batch.id.to_string(),
            caller: name(&batch.caller),
            age_s: seconds(batch.age),
            size: batch.size,
            done: batch.done,
            in_flight: standing.in_flight,
            queued: standing.waiting,
            held_by: standing.held_by.map(Hold::as_str),
        }
    }
}

impl From<Vec<BusyCaller>> for Callers {
    fn from(callers: Vec<BusyCaller>) -> Self {
        Self {
            total: callers.len(),
            busiest: callers.iter().take(MAX_CALLERS).map(Caller::from).collect(),
        }
    }
}

impl From<&BusyCaller> for Caller {
    fn from(busy: &BusyCaller) -> Self {
        Self {
            name: name(&busy.caller),
            batches: busy.batches,
            in_flight: busy.in_flight,
            queued: busy.waiting,
        }
    }
}

fn name(caller: &Identity) -> String {
    let mut name = caller.to_string();
    // All names are ASCII.
    name.truncate(MAX_NAME);
    name
}

impl From<&HostStats> for Hosts {
    fn from(stats: &HostStats) -> Self {
        let ranking = stats.ranking(MAX_HOSTS);
        let hosts = |hosts: Vec<_>| hosts.into_iter().map(Host::from).collect();
        Self {
            tracked: ranking.tracked,
            evicted: ranking.evicted,
            slowest: hosts(ranking.slowest),
            failing: hosts(ranking.failing),
        }
    }
}

impl From<HostSummary> for Host {
    fn from(summary: HostSummary) -> Self {
        Self {
            name: summary.host,
            in_flight: summary.in_flight,
            recent_mean_s: summary.recent_mean.map(seconds),
            requests: summary.requests,
            failures: summary.failures,
            mean_s: summary.mean.map(seconds),
            max_s: summary.max.map(seconds),
        }
    }
}

fn queued_by_limit(standings: &Standings) -> BTreeMap<&'static str, usize> {
    let queued = |hold: Hold| (hold.as_str(), standings.waiting_for(hold));
    Hold::ALL.map(queued).into()
}

/// Returns a duration in seconds, rounded to 0.1 ms.
pub(super) fn seconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 1e4
}
