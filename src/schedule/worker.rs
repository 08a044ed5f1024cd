//! A task of a batch: one request at a time, from its slot to its last part.

use std::{panic::AssertUnwindSafe, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use tokio::time::Instant;

use super::{
    Run,
    job::{Job, Met},
    queue,
};
use crate::{
    fetch::{BodyEnd, Opened, Trace},
    request::Request,
    response::{FetchError, Part, Reason},
    retry,
};

/// One of the tasks that work a batch.
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

impl Worker {
    /// A worker that hands the parts of `run` to `parts`.
    pub(super) fn new(run: Arc<Run>, parts: queue::Sender) -> Self {
        Self { run, parts }
    }

    /// Works until every request has had its end, or nobody waits for one.
    pub(super) async fn work(self) {
        let work = pin!(self.work_to_the_end());
        tokio::select! {
            biased;
            () = self.run.given_up.cancelled() => {}
            () = work => {}
        }
    }

    /// Works until every request has had its end, be it because the batch must
    /// end.
    async fn work_to_the_end(&self) {
        let mut current = None;
        let stopped = {
            let work = pin!(self.work_through(&mut current));
            tokio::select! {
                biased;
                error = self.run.stopped() => Some(error),
                () = work => None,
            }
        };
        let stopped = match stopped {
            Some(error) => error,
            None if !self.run.jobs.has_left() => return,
            None => self.run.stopped().await,
        };
        // Whatever is left, under way or not begun, gets its end at once.
        let left = || self.run.jobs.take_any(&self.run.batch);
        while let Some(job) = current.take().or_else(left) {
            let end = end(&job, stopped.clone());
            self.parts.room_for(&end).await.fill(end);
        }
    }

    /// Works until no request is left. The one under way stays in `current`
    /// until its last part was handed over, also if this is cancelled. So does
    /// its slot, which stands for the buffers of the attempt.
    async fn work_through(&self, current: &mut Option<Job>) {
        while let Some((job, slot)) = self.run.jobs.next(&self.run.batch).await {
            let job = current.insert(job);
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
                    self.parts.room_for(&part).await.fill(part);
                    *current = None;
                }
                Outcome::Again(wait) => {
                    drop(slot);
                    if let Some(job) = current.take() {
                        self.run.jobs.put_back(job, wait);
                    }
                }
                // An attempt makes itself once more.
                Outcome::Doubtful => {}
            }
        }
    }

    /// Makes one attempt.
    async fn attempt(&self, job: &mut Job) -> Outcome {
        let Some(request) = self.run.request(job.index) else {
            let error = FetchError::new(Reason::Internal, "there is no such request");
            return Outcome::Last(end(job, error));
        };
        job.dispatch(&request.options);
        if job.is_first_attempt() {
            self.run.engine.retry.count_request();
        }
        loop {
            match self.try_once(job, request).await {
                // Once: its origin's connections are not reused from now on.
                Outcome::Doubtful => {}
                outcome => return outcome,
            }
        }
    }

    async fn try_once(&self, job: &mut Job, request: &Request) -> Outcome {
        let fetcher = &self.run.engine.fetcher;
        let mut trace = Trace::default();
        let opened = fetcher.open(request, job.clock(), &mut trace).await;
        job.trace = trace;
        match opened {
            Ok(opened) => self.respond(job, request, opened).await,
            Err(error) => {
                if retry::is_worth_retrying(request, trace.redirects, &error)
                    && let Some(wait) = self.try_again(job, request, &Met::Error(&error))
                {
                    return Outcome::Again(wait);
                }
                Outcome::Last(end(job, error))
            }
        }
    }

    /// Hands over the response part by part, but for the last.
    async fn respond(&self, job: &mut Job, request: &Request, opened: Opened<'_>) -> Outcome {
        let Opened { head, mut body } = opened;
        job.head_came();
        if retry::wants_retry(request, head.status)
            && let Some(wait) = self.try_again(job, request, &Met::Status(&head))
        {
            body.discard();
            return Outcome::Again(wait);
        }
        let mut head = Some(head);
        loop {
            let (bytes, end) = body.next_part(job.clock()).await;
            match &end {
                Some(BodyEnd::Doubtful(_)) if job.may_be_doubted(request) => {
                    return Outcome::Doubtful;
                }
                Some(BodyEnd::Failed(error))
                    if retry::is_worth_retrying(request, job.trace.redirects, error) =>
                {
                    if let Some(wait) = self.try_again(job, request, &Met::Error(error)) {
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
                    BodyEnd::Whole => job.end(length, None),
                    BodyEnd::Truncated => job.end(length, None).truncated(),
                    BodyEnd::Failed(error) | BodyEnd::Doubtful(error) => {
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
            self.parts.room_for(&part).await.fill(part);
            job.clock().forgive(since.elapsed());
            job.handed_over(length);
        }
    }

    fn try_again(&self, job: &mut Job, request: &Request, met: &Met<'_>) -> Option<Duration> {
        let engine = &self.run.engine;
        let wait = job.try_again(&engine.retry, &request.options, met)?;
        let retries = &engine.metrics.retries;
        retries.with_label_values(&[met.cause()]).inc();
        Some(wait)
    }
}

/// The last part of a request that ends with `error`, and nothing else.
fn end(job: &Job, error: FetchError) -> Part {
    Part {
        index: job.index,
        head: None,
        body: Bytes::new(),
        end: Some(job.end(0, Some(error))),
    }
}
