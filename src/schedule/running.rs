//! The batches that are running, for people who look at a running service.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;

use super::{Run, Scheduler};
use crate::{
    caller::{Caller, Identity},
    gate::{Standing, Standings},
    request::BatchId,
};

/// All running batches, in the order in which they began. There are never more than may
/// be admitted (`--max-batches`).
#[derive(Default)]
pub(super) struct RunningBatches {
    runs: Mutex<BTreeMap<u64, Arc<Run>>>,
    next: AtomicU64,
}

/// A running batch, as of one moment.
pub(crate) struct RunningBatch {
    pub(crate) id: BatchId,
    pub(crate) caller: Identity,
    /// How many requests it has.
    pub(crate) size: u32,
    /// How many of them have ended.
    pub(crate) done: u32,
    /// The time since the headers of its call arrived.
    pub(crate) age: Duration,
    pub(crate) standing: Standing,
}

/// A caller with running batches, as of one moment.
pub(crate) struct BusyCaller {
    pub(crate) caller: Identity,
    pub(crate) batches: usize,
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
}

/// The running batches, as of one moment.
pub(crate) struct Activity {
    /// How many batches are running.
    pub(crate) total: usize,
    /// The oldest of them, oldest first.
    pub(crate) oldest: Vec<RunningBatch>,
    /// Their callers. Those with the most requests in flight come first.
    pub(crate) callers: Vec<BusyCaller>,
    /// Where all batches stand at the gate.
    pub(crate) standings: Standings,
}

impl RunningBatches {
    /// Adds a batch. Returns the key to remove it with.
    pub(super) fn add(&self, run: &Arc<Run>) -> u64 {
        let key = self.next.fetch_add(1, Ordering::Relaxed);
        self.runs.lock().insert(key, Arc::clone(run));
        key
    }

    pub(super) fn remove(&self, key: u64) {
        let removed = self.runs.lock().remove(&key);
        // This might be the last reference. Don't free a whole batch under the lock.
        drop(removed);
    }
}

impl Scheduler {
    /// Returns the `most` oldest batches, the callers of all batches, and where all of them
    /// stand.
    pub(crate) fn activity(&self, most: usize) -> Activity {
        let mut runs: Vec<_> = self.0.running.runs.lock().values().cloned().collect();
        // A batch may have begun before one whose headers arrived earlier.
        runs.sort_by_key(|run| run.batch.arrival);
        let standings = self.0.gate.standings();
        let oldest = runs.iter().take(most).map(|run| run.status(&standings));
        Activity {
            total: runs.len(),
            oldest: oldest.collect(),
            callers: busy_callers(&runs, &standings),
            standings,
        }
    }
}

fn busy_callers(runs: &[Arc<Run>], standings: &Standings) -> Vec<BusyCaller> {
    let mut callers: BTreeMap<Caller, BusyCaller> = BTreeMap::new();
    for run in runs {
        let caller = &run.batch.identity;
        let standing = run.jobs.standing(standings);
        let busy = callers.entry(caller.caller).or_insert_with(|| BusyCaller {
            caller: caller.clone(),
            batches: 0,
            in_flight: 0,
            waiting: 0,
        });
        busy.batches += 1;
        busy.in_flight += standing.in_flight;
        busy.waiting += standing.waiting;
    }
    let mut callers: Vec<_> = callers.into_values().collect();
    callers.sort_by_key(|caller| Reverse((caller.in_flight, caller.waiting)));
    callers
}

impl Run {
    fn status(&self, standings: &Standings) -> RunningBatch {
        let size = self.batch.requests.count();
        RunningBatch {
            id: self.batch.id,
            caller: self.batch.identity.clone(),
            size,
            done: size.saturating_sub(self.unfinished.load(Ordering::Relaxed)),
            age: self.batch.arrival.elapsed(),
            standing: self.jobs.standing(standings),
        }
    }
}
