//! A task of a batch: one request at a time, from its slot to its last part.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;

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

/// What an attempt leads to.
enum Outcome {
    /// The request has had its end.
    Ended,
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
        let run = Arc::clone(&self.run);
        run.given_up
            .run_until_cancelled(self.work_to_the_end())
            .await;
    }

    /// Works until every request has had its end, be it because the batch must
    /// end.
    async fn work_to_the_end(self) {
        let mut current = None;
        let stopped = tokio::select! {
            biased;
            error = self.run.stopped() => error,
            () = self.work_through(&mut current) => {
                if !self.run.jobs.has_left() {
                    return;
                }
                self.run.stopped().await
            }
        };
        // Whatever is left, under way or not begun, gets its end at once.
        let left = || self.run.jobs.take_any(&self.run.batch);
        while let Some(job) = current.take().or_else(left) {
            self.end(&job, stopped.clone()).await;
        }
    }

    /// Works until no request is left. The one under way stays in `current`
    /// until its last part was handed over, also where this is cancelled.
    async fn work_through(&self, current: &mut Option<Job>) {
        while let Some((job, slot)) = self.run.jobs.next(&self.run.batch).await {
            let job = current.insert(job);
            let attempt = AssertUnwindSafe(self.attempt(job)).catch_unwind().await;
            drop(slot);
            let outcome = if let Ok(outcome) = attempt {
                outcome
            } else {
                tracing::error!(index = job.index, "a fetch panicked");
                let error = FetchError::new(Reason::Internal, "the fetch panicked");
                self.end(job, error).await;
                Outcome::Ended
            };
            match (outcome, current.take()) {
                (Outcome::Again(wait), Some(job)) => self.run.jobs.put_back(job, wait),
                (Outcome::Ended | Outcome::Doubtful, _) | (_, None) => {}
            }
        }
    }

    /// Makes one attempt, in a slot that is held until the last part was handed
    /// over: it stands for the buffers of the attempt.
    async fn attempt(&self, job: &mut Job) -> Outcome {
        let Some(request) = self.run.request(job.index) else {
            return Outcome::Ended;
        };
        job.dispatch(&request.options);
        if job.is_first_attempt() {
            self.run.engine.retry.count_request();
        }

        match self.try_once(job, request).await {
            // Its origin's connections are not reused from now on.
            Outcome::Doubtful => self.try_once(job, request).await,
            outcome => outcome,
        }
    }

    async fn try_once(&self, job: &mut Job, request: &Request) -> Outcome {
        let mut trace = Trace::default();
        let fetcher = &self.run.engine.fetcher;
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
                self.end(job, error).await;
                Outcome::Ended
            }
        }
    }

    /// Hands over the response part by part.
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
            let is_last = part.end.is_some();
            if is_last {
                // The connection is free for the next request, or closed.
                drop(body);
                self.parts.push(part).await;
                return Outcome::Ended;
            }
            job.clock().paused(self.parts.push(part)).await;
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

    async fn end(&self, job: &Job, error: FetchError) {
        let part = Part {
            index: job.index,
            head: None,
            body: Bytes::new(),
            end: Some(job.end(0, Some(error))),
        };
        self.parts.push(part).await;
    }
}
