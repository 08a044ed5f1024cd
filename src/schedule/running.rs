//! The batches that are running, for people who look at a running service.

use std::{
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
    caller::Identity,
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

/// The running batches, as of one moment.
pub(crate) struct Activity {
    /// How many batches are running.
    pub(crate) total: usize,
    /// The oldest of them.
    pub(crate) oldest: Vec<RunningBatch>,
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
    /// Returns the `most` oldest batches, how many there are, and where all of them stand.
    pub(crate) fn activity(&self, most: usize) -> Activity {
        let (total, oldest) = {
            let runs = self.0.running.runs.lock();
            let oldest: Vec<_> = runs.values().take(most).cloned().collect();
            (runs.len(), oldest)
        };
        let standings = self.0.gate.standings();
        Activity {
            total,
            oldest: oldest.iter().map(|run| run.status(&standings)).collect(),
            standings,
        }
    }
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
