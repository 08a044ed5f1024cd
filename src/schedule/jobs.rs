//! The requests of a batch that are still to be done.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::{self, Instant};

use super::job::Job;
use crate::{
    egress::Target,
    gate::{Gate, Line, Slot},
    request::Batch,
};

/// Those that wait at the gate, and those that wait for another attempt.
pub(super) struct Jobs {
    line: Line,
    begun: Mutex<Begun>,
}

/// Jobs that were begun before, and are with no worker now.
#[derive(Default)]
struct Begun {
    /// Due for another attempt, now or later.
    again: BinaryHeap<Again>,
    /// At the gate again.
    waiting: HashMap<u32, Job>,
    /// Taken from the gate, for those who end what is left.
    left: Vec<u32>,
}

/// A job that is due for another attempt.
struct Again {
    due: Instant,
    job: Job,
}

impl Jobs {
    /// All requests of `batch` that can be sent, waiting at `gate`.
    pub(super) fn new(gate: &Gate, batch: &Batch) -> Self {
        let requests = batch.requests.iter().zip(0..);
        let requests = requests.filter_map(|(request, index)| request.is_ok().then_some(index));
        Self {
            line: gate.join(batch.concurrency, requests, host_of(batch)),
            begun: Mutex::default(),
        }
    }

    /// The next job that may start, with its slot, or `None` once none waits,
    /// be it for another attempt. A task that puts a job back asks again, so
    /// none is forgotten. Cancel-safe.
    pub(super) async fn next(&self, batch: &Batch) -> Option<(Job, Slot)> {
        self.line_up(batch);
        // Mostly there is one, and nothing to wait for.
        if let Some((index, slot)) = self.line.take() {
            return Some((self.job(index, batch), slot));
        }
        loop {
            let mut changed = pin!(self.line.changed());
            changed.as_mut().enable();
            let due = self.line_up(batch);
            if let Some((index, slot)) = self.line.take() {
                return Some((self.job(index, batch), slot));
            }
            match due {
                Some(due) => {
                    let _ = time::timeout_at(due, changed).await;
                }
                None if self.line.is_empty() => return None,
                None => changed.await,
            }
        }
    }

    /// Any job that is left, whether it may start or not.
    pub(super) fn take_any(&self, batch: &Batch) -> Option<Job> {
        let mut begun = self.begun();
        if let Some(again) = begun.again.pop() {
            return Some(again.job);
        }
        if begun.left.is_empty() {
            begun.left.extend(self.line.close());
        }
        let index = begun.left.pop()?;
        drop(begun);
        Some(self.job(index, batch))
    }

    /// Whether any is left that no worker will be given: the batch is being ended.
    pub(super) fn has_left(&self) -> bool {
        !self.begun().left.is_empty()
    }

    /// Lets none start any more, without an end.
    pub(super) fn give_up(&self) {
        self.line.close();
    }

    /// Puts `job` back, due after `wait`.
    pub(super) fn put_back(&self, mut job: Job, wait: Duration) {
        let due = Instant::now() + wait;
        job.wait_from(due);
        self.begun().again.push(Again { due, job });
    }

    /// Lets those that are due wait at the gate, and says when the next is.
    fn line_up(&self, batch: &Batch) -> Option<Instant> {
        let mut begun = self.begun();
        while let Some(again) = begun.again.peek() {
            if again.due > Instant::now() {
                return Some(again.due);
            }
            let job = begun.again.pop()?.job;
            let index = job.index;
            begun.waiting.insert(index, job);
            if !self.line.put_back(index, host_of(batch)) {
                begun.left.push(index);
                return None;
            }
        }
        None
    }

    fn job(&self, index: u32, batch: &Batch) -> Job {
        let mut begun = self.begun();
        // Most jobs are new, and need no look-up.
        let waiting = !begun.waiting.is_empty();
        let begun = waiting.then(|| begun.waiting.remove(&index)).flatten();
        begun.unwrap_or_else(|| Job::new(index, batch.arrival))
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The host that a request of `batch` is for: name and port of its own URL.
fn host_of(batch: &Batch) -> impl Fn(u32) -> String {
    |index| {
        let request = batch.requests.get(index as usize);
        let request = request.and_then(|request| request.as_ref().ok());
        let target = request.map(|request| Target::of(&request.uri).to_string());
        target.unwrap_or_default()
    }
}

/// The heap gives the greatest first: the one that is due first.
impl Ord for Again {
    fn cmp(&self, other: &Self) -> Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Again {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Again {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Again {}
