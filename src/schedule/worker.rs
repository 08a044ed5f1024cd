//! The tasks that fetch: one request at a time, from its slot to its last part.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time;

use super::{
    Run,
    attempt::{self, Step},
    job::Job,
    part_queue::Sender,
};
use crate::{
    gate::Slot,
    response::{FetchError, Part, Reason},
};

/// A task that has a slot. It works on one request after another until no further
/// request may start at once.
pub(super) struct Worker {
    pub(super) run: Arc<Run>,
    parts: Sender,
}

/// If a worker waits this long for the caller to read, the batch gets no more shared
/// slots until the caller reads.
const STALL: Duration = Duration::from_secs(1);

impl Worker {
    /// Creates a worker that sends the parts of `run` to `parts`.
    pub(super) fn new(run: Arc<Run>, parts: Sender) -> Self {
        Self { run, parts }
    }

    /// Works on `job` in `slot`, and then on other requests, until none may start. If
    /// the batch is ended, the current request ends with the same error.
    pub(super) async fn work(self, job: Job, slot: Slot) {
        let mut current = Some(job);
        let error = {
            // Pinned before it is awaited, since it is large and would be moved.
            let work = pin!(self.work_through(&mut current, slot));
            if let Some(error) = self.run.end_error.get() {
                error
            } else {
                tokio::select! {
                    biased;
                    () = work => return,
                    error = self.run.end_error.wait() => error,
                }
            }
        };
        if let Some(job) = current {
            self.parts.send(job.fail(error.clone()).into()).await;
        }
    }

    /// Works on one request after another until none may start. If this is cancelled,
    /// `current` holds the request whose last part was not handed over. A slot is held
    /// until the last part was handed over too, since it limits the buffers in use.
    async fn work_through(&self, current: &mut Option<Job>, mut slot: Slot) {
        while let Some(job) = current {
            match self.attempt(job).await {
                Step::End(last) => {
                    self.hand_over(last.into()).await;
                    *current = None;
                }
                Step::Retry(delay) => {
                    if let Some(job) = current.take() {
                        self.run.jobs.put_back(job, delay);
                    }
                }
            }
            let Some((job, next)) = self.run.jobs.exchange(slot, &self.run.batch) else {
                return;
            };
            *current = Some(job);
            slot = next;
        }
    }

    /// Makes one attempt. A panic ends the request, but not the worker.
    async fn attempt(&self, job: &mut Job) -> Step {
        let attempt = {
            let attempt = pin!(attempt::make(self, job));
            AssertUnwindSafe(attempt).catch_unwind().await
        };
        attempt.unwrap_or_else(|_| {
            tracing::error!(index = job.request.index(), "a fetch panicked");
            let error = FetchError::new(Reason::Internal, "the fetch panicked");
            Step::End(job.fail(error))
        })
    }

    /// Sends `part` as soon as there is capacity for it. Cancel-safe: if it is
    /// cancelled, the part was not sent.
    pub(super) async fn hand_over(&self, part: Part) {
        let permit = {
            let mut permit = pin!(self.parts.reserve(&part));
            if let Ok(permit) = time::timeout(STALL, permit.as_mut()).await {
                permit
            } else {
                let _stalled = self.run.jobs.stall();
                permit.await
            }
        };
        permit.send(part);
    }
}
