//! The tasks that fetch: one request at a time, from its slot to its last part.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::{self, Instant};

use super::{
    Run,
    job::{Job, Met},
    queue,
};
use crate::{
    fetch::{AttemptStats, BodyEnd, Response},
    gate::Slot,
    request::Request,
    response::{FetchError, Part, Reason},
    retry::{self, Budget},
};

/// A task that has a slot, and works one request after another for as long as it
/// gets the next slot at once.
pub(super) struct Worker {
    run: Arc<Run>,
    parts: queue::Sender,
}

/// What an attempt leads to. The last part of a request is handed over by one
/// place, so that the future of a task holds one, and stays small.
#[allow(clippy::large_enum_variant)] // A box would be an allocation for each request.
enum Outcome {
    /// The end of the request, with what is left of its response.
    Last(Part),
    /// Another attempt follows after this long.
    Again(Duration),
    /// The response may not be that of the request, and the same attempt is made
    /// once more.
    Doubtful,
}

/// A batch with a worker that waits this long for its caller to read gets no more
/// slots meanwhile.
const STALL: Duration = Duration::from_secs(1);

impl Worker {
    /// A worker that hands the parts of `run` to `parts`.
    pub(super) fn new(run: Arc<Run>, parts: queue::Sender) -> Self {
        Self { run, parts }
    }

    /// Works `job` in `slot`, and then whatever may start, until nothing may. If
    /// the batch is ended, so is the request under way.
    pub(super) async fn work(self, job: Job, slot: Slot) {
        let mut current = Some(job);
        let ended = {
            // Pinned first, since it is large, and would be moved.
            let work = pin!(self.work_through(&mut current, slot));
            self.run.ended.run_until_cancelled(work).await.is_none()
        };
        if ended && let (Some(job), Some(error)) = (current, self.run.end_error.get()) {
            let end = end(&job, error.clone());
            self.parts.room_for(&end).await.fill(end);
        }
    }

    /// Works until no request may start. The one under way stays in `current`
    /// until its last part was handed over, also if this is cancelled. So does
    /// its slot, which stands for the buffers of the attempt.
    async fn work_through(&self, current: &mut Option<Job>, mut slot: Slot) {
        while let Some(job) = current {
            let attempt = {
                let attempt = pin!(self.attempt(job));
                AssertUnwindSafe(attempt).catch_unwind().await
            };
            let outcome = attempt.unwrap_or_else(|_| {
                tracing::error!(index = job.index, "a fetch panicked");
                let error = FetchError::new(Reason::Internal, "the fetch panicked");
                Outcome::Last(end(job, error))
            });
            match outcome {
                Outcome::Last(part) => {
                    self.hand_over(part).await;
                    *current = None;
                }
                Outcome::Again(wait) => {
                    if let Some(job) = current.take() {
                        self.run.jobs.put_back(job, wait);
                    }
                }
                // An attempt makes itself once more.
                Outcome::Doubtful => {}
            }
            let Some((job, next)) = self.run.jobs.exchange(slot, &self.run.batch) else {
                return;
            };
            *current = Some(job);
            slot = next;
        }
    }

    /// Makes one attempt.
    async fn attempt(&self, job: &mut Job) -> Outcome {
        let request = match self.run.batch.requests.get(job.index) {
            Ok(request) => request,
            Err(invalid) => return Outcome::Last(end(job, invalid.into())),
        };
        job.dispatch(&request.options);
        let budget = self
            .run
            .engine
            .retry
            .budget(self.run.batch.caller, &request);
        if job.is_first_attempt() {
            budget.count_request();
        }
        loop {
            match self.try_once(job, &request, &budget).await {
                // Once: its origin's connections are not reused from now on.
                Outcome::Doubtful => {}
                outcome => return outcome,
            }
        }
    }

    async fn try_once(&self, job: &mut Job, request: &Request, budget: &Budget) -> Outcome {
        let fetcher = &self.run.engine.fetcher;
        let mut trace = AttemptStats::default();
        let opened = fetcher.fetch(request, job.clock(), &mut trace).await;
        job.trace = trace;
        match opened {
            Ok(opened) => self.respond(job, request, budget, opened).await,
            Err(error) => {
                if retry::is_worth_retrying(request, trace.redirects, &error)
                    && let Some(wait) = self.try_again(job, request, budget, &Met::Error(&error))
                {
                    return Outcome::Again(wait);
                }
                Outcome::Last(end(job, error))
            }
        }
    }

    /// Hands over the response part by part, but for the last.
    async fn respond(
        &self,
        job: &mut Job,
        request: &Request,
        budget: &Budget,
        opened: Response<'_>,
    ) -> Outcome {
        let Response { head, mut body } = opened;
        job.head_came();
        if retry::wants_retry(request, head.status)
            && let Some(wait) = self.try_again(job, request, budget, &Met::Status(&head))
        {
            body.discard().await;
            return Outcome::Again(wait);
        }
        let mut head = Some(head);
        loop {
            let (bytes, end) = body.next_part(job.clock()).await;
            match &end {
                Some(BodyEnd::OutOfSync(_)) if job.may_be_doubted(request) => {
                    return Outcome::Doubtful;
                }
                Some(BodyEnd::Failed(error))
                    if retry::is_worth_retrying(request, job.trace.redirects, error) =>
                {
                    if let Some(wait) = self.try_again(job, request, budget, &Met::Error(error)) {
                        return Outcome::Again(wait);
                    }
                }
                _ => {}
            }
            let length = bytes.len();
            let part = Part {
                index: job.index,
                head: head.take(),
                body: bytes,
                end: end.map(|end| match end {
                    BodyEnd::Complete => job.end(length, None),
                    BodyEnd::Truncated => job.end(length, None).truncated(),
                    BodyEnd::Failed(error) | BodyEnd::OutOfSync(error) => {
                        job.end(length, Some(error))
                    }
                }),
            };
            if part.end.is_some() {
                // The connection is free for the next request, or closed.
                return Outcome::Last(part);
            }
            // The clocks stand still while the caller does not read.
            let since = Instant::now();
            self.hand_over(part).await;
            job.clock().forgive(since.elapsed());
            job.handed_over(length);
        }
    }

    /// Hands over `part` when the queue has room for it. Cancelled before it
    /// completes, it has handed over nothing.
    async fn hand_over(&self, part: Part) {
        let room = {
            let mut room = pin!(self.parts.room_for(&part));
            if let Ok(room) = time::timeout(STALL, room.as_mut()).await {
                room
            } else {
                let _stalled = self.run.jobs.stall();
                room.await
            }
        };
        room.fill(part);
    }

    fn try_again(
        &self,
        job: &mut Job,
        request: &Request,
        budget: &Budget,
        met: &Met<'_>,
    ) -> Option<Duration> {
        let wait = job.try_again(budget, &request.options, met)?;
        let retries = &self.run.engine.metrics.retries;
        retries.with_label_values(&[met.cause()]).inc();
        Some(wait)
    }
}

/// The last part of a request that ends with `error`, and nothing else.
pub(super) fn end(job: &Job, error: FetchError) -> Part {
    Part {
        index: job.index,
        head: None,
        body: Bytes::new(),
        end: Some(job.end(0, Some(error))),
    }
}
