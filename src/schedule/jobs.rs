//! The unfinished requests of a batch that no worker has.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::futures::Notified, time::Instant};

use super::job::Job;
use crate::{
    egress::Target,
    gate::{BatchQueue, Gate, Slot, StallGuard},
    request::{Batch, Sendable},
};

/// The requests that wait for a slot, and those that wait for another attempt.
pub(super) struct Jobs {
    queue: BatchQueue,
    state: Mutex<State>,
}

/// The jobs that had an attempt, and the requests that will have none.
#[derive(Default)]
struct State {
    /// Jobs that wait for the end of their back-off.
    delayed: BinaryHeap<Delayed>,
    /// Jobs that wait for a slot again.
    queued: HashMap<Sendable, Job>,
    /// Requests of the closed queue, which are to be ended.
    closed: Vec<Sendable>,
}

/// A job that waits for the end of its back-off.
struct Delayed {
    due: Instant,
    job: Job,
}

impl Jobs {
    /// Lets all requests of `batch` that can be sent wait at `gate`.
    pub(super) fn new(gate: &Gate, batch: &Batch) -> Self {
        let requests = batch.requests.sendable();
        Self {
            queue: gate.join(batch.caller, batch.concurrency, requests, host_of(batch)),
            state: Mutex::default(),
        }
    }

    /// Lets the jobs whose back-off is over wait at the gate, and returns when the
    /// next back-off ends.
    pub(super) fn enqueue_due(&self, batch: &Batch) -> Option<Instant> {
        let mut state = self.state.lock();
        while let Some(delayed) = state.delayed.peek() {
            if delayed.due > Instant::now() {
                return Some(delayed.due);
            }
            let job = state.delayed.pop()?.job;
            let request = job.request;
            state.queued.insert(request, job);
            if !self.queue.put_back(request, host_of(batch)) {
                state.closed.push(request);
                return None;
            }
        }
        None
    }

    /// Takes the next job that may start, with its slot.
    pub(super) fn take(&self, batch: &Batch) -> Option<(Job, Slot)> {
        let (request, slot) = self.queue.take()?;
        Some((self.job(request, batch), slot))
    }

    /// Frees `slot`, and takes the next job that may start, with its slot.
    pub(super) fn exchange(&self, slot: Slot, batch: &Batch) -> Option<(Job, Slot)> {
        let (request, slot) = self.queue.exchange(slot)?;
        Some((self.job(request, batch), slot))
    }

    /// Takes any job, without a slot. The queue is closed for that.
    pub(super) fn take_any(&self, batch: &Batch) -> Option<Job> {
        let mut state = self.state.lock();
        if let Some(delayed) = state.delayed.pop() {
            return Some(delayed.job);
        }
        if state.closed.is_empty() {
            state.closed.extend(self.queue.close());
        }
        let request = state.closed.pop()?;
        drop(state);
        Some(self.job(request, batch))
    }

    /// Returns true if no job waits, for a slot or for the end of its back-off.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.delayed.is_empty() && self.queue.is_empty()
    }

    /// Waits until there may be a job to take, or another back-off to wait for.
    /// Wake-ups count from the moment when the future is enabled or first polled.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.queue.changed()
    }

    /// Limits the batch to its reserved slot until the guard is dropped.
    pub(super) fn stall(&self) -> StallGuard<'_> {
        self.queue.stall()
    }

    /// Removes all waiting requests, without an end.
    pub(super) fn abort(&self) {
        self.queue.close();
    }

    /// Puts `job` back for another attempt after `delay`.
    pub(super) fn put_back(&self, mut job: Job, delay: Duration) {
        let due = Instant::now() + delay;
        job.wait_from(due);
        self.state.lock().delayed.push(Delayed { due, job });
        self.queue.wake();
    }

    /// Returns the job of `request`, which is new unless it had an attempt.
    fn job(&self, request: Sendable, batch: &Batch) -> Job {
        let mut state = self.state.lock();
        // The map is empty in most batches, which saves the look-up.
        if !state.queued.is_empty()
            && let Some(job) = state.queued.remove(&request)
        {
            return job;
        }
        Job::new(request, batch.arrival)
    }
}

/// Returns the host of a request of `batch`: name and port of its own URL.
fn host_of(batch: &Batch) -> impl Fn(Sendable) -> String {
    |request| match batch.requests.decode(request) {
        Ok(request) => Target::of(&request.uri).to_string(),
        Err(_) => String::new(),
    }
}

/// The order of the heap, whose greatest item comes first: the one that is due first.
impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> Ordering {
        other.due.cmp(&self.due)
    }
}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Delayed {}
