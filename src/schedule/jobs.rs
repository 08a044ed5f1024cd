//! Keeps the requests of a batch that aren't finished, and that no worker has right now.

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
    gate::{BatchQueue, Gate, Slot, StallGuard, Standing, Standings},
    request::{Batch, Sendable},
};

/// Requests that are waiting, either for a slot or for their next attempt.
pub(super) struct Jobs {
    queue: BatchQueue,
    state: Mutex<State>,
}

/// Jobs that already had an attempt, and requests that won't get one.
#[derive(Default)]
struct State {
    /// Jobs in back-off.
    delayed: BinaryHeap<Delayed>,
    /// Jobs that are past their back-off, and waiting for a slot again.
    queued: HashMap<Sendable, Job>,
    /// Requests left when the queue was closed. They still need to be ended.
    closed: Vec<Sendable>,
}

/// A job in back-off.
struct Delayed {
    due: Instant,
    job: Job,
}

impl Jobs {
    /// Queues the requests of `batch` at `gate`, except for those that can't be sent.
    pub(super) fn new(gate: &Gate, batch: &Batch) -> Self {
        let requests = batch.requests.sendable();
        Self {
            queue: gate.join(batch.caller(), batch.concurrency, requests, host_of(batch)),
            state: Mutex::default(),
        }
    }

    /// Moves jobs whose back-off is over to the gate's queue. Returns when the next
    /// back-off ends, if there is one.
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

    /// Takes the next job that may start, along with its slot.
    pub(super) fn take(&self, batch: &Batch) -> Option<(Job, Slot)> {
        let (request, slot) = self.queue.take()?;
        Some((self.job(request, batch), slot))
    }

    /// Frees `slot`, then takes the next job that may start, along with its slot.
    pub(super) fn exchange(&self, slot: Slot, batch: &Batch) -> Option<(Job, Slot)> {
        let (request, slot) = self.queue.exchange(slot)?;
        Some((self.job(request, batch), slot))
    }

    /// Takes any job, even if there's no slot for it. Closes the queue to get at the
    /// requests in there.
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

    /// Returns true if no jobs are waiting for a slot or for the end of their back-off.
    pub(super) fn is_empty(&self) -> bool {
        let state = self.state.lock();
        state.delayed.is_empty() && self.queue.is_empty()
    }

    /// Waits until there might be a job to take, or a new back-off to wait for. Note that
    /// wake-ups only count after the future was enabled or polled for the first time.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.queue.changed()
    }

    /// Returns where the batch is in `standings`.
    pub(super) fn standing(&self, standings: &Standings) -> Standing {
        standings.of(&self.queue)
    }

    /// Limits the batch to its reserved slot until the returned guard is dropped.
    pub(super) fn stall(&self) -> StallGuard<'_> {
        self.queue.stall()
    }

    /// Removes all waiting requests without ending them.
    pub(super) fn abort(&self) {
        self.queue.close();
    }

    /// Puts `job` back, to be tried again after `delay`.
    pub(super) fn put_back(&self, mut job: Job, delay: Duration) {
        let due = Instant::now() + delay;
        job.wait_from(due);
        self.state.lock().delayed.push(Delayed { due, job });
        self.queue.wake();
    }

    /// Returns the job for `request`. If it hasn't had an attempt, that's a new one.
    fn job(&self, request: Sendable, batch: &Batch) -> Job {
        let mut state = self.state.lock();
        // Most batches never retry. Their map is empty, so we can skip the lookup.
        if !state.queued.is_empty()
            && let Some(job) = state.queued.remove(&request)
        {
            return job;
        }
        Job::new(request, batch.arrival)
    }
}

/// Returns the host that a request counts towards: the name and port in its own URL.
fn host_of(batch: &Batch) -> impl Fn(Sendable) -> String {
    |request| match batch.requests.decode(request) {
        Ok(request) => Target::of(&request.uri).to_string(),
        Err(_) => String::new(),
    }
}

/// Reversed, because [`BinaryHeap`] is a max-heap and we want the job that's due first.
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
