//! The tasks that do the actual fetching. They work on one request at a time, from when
//! it gets a slot until its last part.

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

/// A task that holds a slot. It works on one request after another, and exits when
/// there's no other request that may start right away.
pub(super) struct Worker {
    pub(super) run: Arc<Run>,
    parts: Sender,
}

/// If the caller makes a worker wait this long, the batch doesn't get any more shared
/// slots until the caller reads.
const STALL: Duration = Duration::from_secs(1);

impl Worker {
    /// Creates a worker for `run` that sends its parts to `parts`.
    pub(super) fn new(run: Arc<Run>, parts: Sender) -> Self {
        Self { run, parts }
    }

    /// Works on `job` using `slot`, then on other requests, until there's none that may
    /// start. If the batch is stopped, the current request ends with the batch's error.
    pub(super) async fn work(self, job: Job, slot: Slot) {
        let mut current = Some(job);
        let error = {
            // Pin it before we await it. The future is large, and would be moved
            // otherwise.
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
        if let Some(mut job) = current {
            self.parts.send(job.fail(error.clone()).into()).await;
        }
    }

    /// Works on one request after another until there's none that may start.
    ///
    /// If this is cancelled, `current` is the request whose last part we haven't handed
    /// over. Note that we hold on to the slot until that's done. The slot limits how many
    /// buffers are in use, and the last part still needs one.
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

    /// Makes one attempt. If it panics, only this request ends, and the worker goes on.
    async fn attempt(&self, job: &mut Job) -> Step {
        let attempt = {
            let attempt = pin!(attempt::make(self, job));
            AssertUnwindSafe(attempt).catch_unwind().await
        };
        attempt.unwrap_or_else(|_| {
            let span = &self.run.batch.span;
            tracing::error!(parent: span, index = job.request.index(), "a fetch panicked");
            let error = FetchError::new(Reason::Internal, "the fetch panicked");
            Step::End(job.fail(error))
        })
    }

    /// Sends `part` once there's capacity for it. Cancel-safe: if you cancel this, the
    /// part wasn't sent.
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
