//! The requests of a batch that are still to be done.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{self, AtomicUsize},
    },
    time::Duration,
};

use tokio::time::{self, Instant};

use super::job::Job;
use crate::request::Batch;

/// Those not begun, in order, and those that wait for another attempt.
pub(super) struct Jobs {
    begun: AtomicUsize,
    again: Mutex<BinaryHeap<Again>>,
}

/// A job that is due for another attempt.
struct Again {
    due: Instant,
    job: Job,
}

impl Jobs {
    /// All requests of a batch.
    pub(super) fn new() -> Self {
        Self {
            begun: AtomicUsize::new(0),
            again: Mutex::default(),
        }
    }

    /// The next job, or `None` once all are begun and none waits for another
    /// attempt. A task that puts a job back asks again, so none is forgotten.
    /// Cancel-safe.
    pub(super) async fn next(&self, batch: &Batch) -> Option<Job> {
        loop {
            if let Some(job) = self.take_again(|again| again.due <= Instant::now()) {
                return Some(job);
            }
            if let Some(job) = self.begin(batch) {
                return Some(job);
            }
            let due = self.again().peek()?.due;
            time::sleep_until(due).await;
        }
    }

    /// Any job that is left, whether it is due or not.
    pub(super) fn take_any(&self, batch: &Batch) -> Option<Job> {
        self.take_again(|_| true).or_else(|| self.begin(batch))
    }

    /// Puts `job` back, due after `wait`.
    pub(super) fn put_back(&self, mut job: Job, wait: Duration) {
        let due = Instant::now() + wait;
        job.wait_from(due);
        self.again().push(Again { due, job });
    }

    /// Begins the next request that can be sent.
    fn begin(&self, batch: &Batch) -> Option<Job> {
        loop {
            let index = self.begun.fetch_add(1, atomic::Ordering::Relaxed);
            if batch.requests.get(index)?.is_ok() {
                let index = u32::try_from(index).ok()?;
                return Some(Job::new(index, batch.arrival));
            }
        }
    }

    fn take_again(&self, is_taken: impl Fn(&Again) -> bool) -> Option<Job> {
        let mut again = self.again();
        if again.peek().is_some_and(is_taken) {
            again.pop().map(|again| again.job)
        } else {
            None
        }
    }

    fn again(&self) -> MutexGuard<'_, BinaryHeap<Again>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
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
