//! The requests of a batch that are still to be done.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::futures::Notified, time::Instant};

use super::job::Job;
use crate::{
    egress::Target,
    gate::{Gate, Line, Slot, Stalled},
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
    /// Taken from the gate to be ended.
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
        let mut refused = batch.requests.refused().iter().copied().peekable();
        let all = 0..batch.requests.count();
        let sendable = all.filter(|index| refused.next_if_eq(index).is_none());
        Self {
            line: gate.join(batch.caller, batch.concurrency, sendable, host_of(batch)),
            begun: Mutex::default(),
        }
    }

    /// Lets those that are due for another attempt wait at the gate, and returns
    /// when the next is.
    pub(super) fn line_up(&self, batch: &Batch) -> Option<Instant> {
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

    /// The next job that may start, with its slot.
    pub(super) fn take(&self, batch: &Batch) -> Option<(Job, Slot)> {
        let (index, slot) = self.line.take()?;
        Some((self.job(index, batch), slot))
    }

    /// Gives `slot` back, and returns the next job that may start, with its slot.
    pub(super) fn exchange(&self, slot: Slot, batch: &Batch) -> Option<(Job, Slot)> {
        let (index, slot) = self.line.exchange(slot)?;
        Some((self.job(index, batch), slot))
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

    /// Returns true if no job waits, at the gate or for another attempt.
    pub(super) fn is_empty(&self) -> bool {
        let begun = self.begun();
        begun.again.is_empty() && self.line.is_empty()
    }

    /// Waits until there may be a job to take, or another one to wait for. Counts
    /// from when it is enabled or first polled.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.line.changed()
    }

    /// Marks the batch as one whose caller does not read, until the mark is
    /// dropped.
    pub(super) fn stall(&self) -> Stalled<'_> {
        self.line.stall()
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
        self.line.wake();
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
        let request = batch.requests.get(index);
        request.map_or_else(
            |_| String::new(),
            |request| Target::of(&request.uri).to_string(),
        )
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
