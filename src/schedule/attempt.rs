//! Makes a single attempt at a request.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::{job::Job, last_part::LastPart, worker::Worker};
use crate::{
    fetch::{AttemptStats, BodyEnd, Response},
    request::Request,
    response::{Head, Part},
    retry::{AttemptResult, Budget, Verdict},
};

/// An attempt that's in progress.
struct RunningAttempt<'a> {
    worker: &'a Worker,
    job: &'a mut Job,
    request: &'a Request,
    budget: &'a Budget,
}

/// What to do after an attempt.
///
/// We return the last part instead of handing it over here, and leave that to the worker.
/// Its future then only holds a single part, which keeps it small.
#[allow(clippy::large_enum_variant)] // Boxing it would cost an allocation per request.
pub(super) enum Step {
    /// The request has ended, and this is its last part.
    End(LastPart),
    /// Make another attempt after this delay.
    Retry(Duration),
}

/// Makes an attempt at `job`, which must have a slot.
pub(super) async fn make(worker: &Worker, job: &mut Job) -> Step {
    let run = &worker.run;
    let request = match run.batch.requests.decode(job.request) {
        Ok(request) => request,
        Err(invalid) => return Step::End(job.fail(invalid.into())),
    };
    job.dispatch(&request, run.trace.as_ref(), run.engine.hosts.as_ref());
    let budget = run.engine.retry.budget(run.batch.caller(), &request);
    if job.is_first_attempt() {
        budget.count_request();
    }
    // Borrow the request. If we moved it, the future would have room for two of them.
    let mut attempt = RunningAttempt {
        worker,
        job,
        request: &request,
        budget: &budget,
    };
    loop {
        // This runs twice at most, since we only resend once.
        if let Some(step) = attempt.send().await {
            return step;
        }
    }
}

impl RunningAttempt<'_> {
    /// Sends the request and hands over the response, except for its last part. Returns
    /// `None` if we have to resend the request right away.
    async fn send(&mut self) -> Option<Step> {
        let worker = self.worker;
        let fetcher = &worker.run.engine.fetcher;
        let mut stats = AttemptStats::default();
        let (clock, trace) = self.job.clock_and_trace();
        let response = fetcher.fetch(self.request, clock, &mut stats, trace).await;
        self.job.stats = stats;
        let error = match response {
            Ok(response) => return self.respond(response).await,
            Err(error) => error,
        };
        match self.decide(AttemptResult::Failed(&error)) {
            Verdict::Retry { after, .. } => Some(Step::Retry(after)),
            Verdict::Resend | Verdict::Done => Some(Step::End(self.job.fail(error))),
        }
    }

    /// Hands over the response part by part, except for the last one.
    async fn respond(&mut self, response: Response<'_>) -> Option<Step> {
        let Response { head, mut body } = response;
        self.job.note_head(&head);
        let verdict = self.decide(AttemptResult::Head(&head));
        if let Verdict::Retry { after, .. } = verdict {
            body.discard().await;
            return Some(Step::Retry(after));
        }
        let mut head = Some(head);
        loop {
            let (bytes, end) = body.next_part(self.job.clock()).await;
            if let Some(end) = end {
                // At this point the connection is either free for the next request, or
                // closed.
                return self.finish(head, bytes, end);
            }
            let length = bytes.len();
            let part = Part {
                index: self.job.request.index(),
                head: head.take(),
                body: bytes,
                end: None,
            };
            // Time spent waiting for the caller to read doesn't count towards the
            // timeouts.
            let since = Instant::now();
            self.worker.hand_over(part).await;
            self.job.clock().extend(since.elapsed());
            self.job.note_sent(length);
        }
    }

    /// Decides what to do after the last part of a response. `body` is that part's bytes.
    fn finish(&mut self, head: Option<Head>, body: Bytes, end: BodyEnd) -> Option<Step> {
        let verdict = match &end {
            BodyEnd::Complete | BodyEnd::Truncated => Verdict::Done,
            BodyEnd::Failed(error) => self.decide(AttemptResult::Failed(error)),
            BodyEnd::OutOfSync(_) => self.decide(AttemptResult::Ambiguous),
        };
        match verdict {
            Verdict::Retry { after, .. } => return Some(Step::Retry(after)),
            Verdict::Resend => return None,
            Verdict::Done => {}
        }
        let length = body.len();
        let end = match end {
            BodyEnd::Complete => self.job.end(length, None),
            BodyEnd::Truncated => self.job.end(length, None).truncated(),
            BodyEnd::Failed(error) | BodyEnd::OutOfSync(error) => self.job.end(length, Some(error)),
        };
        Some(Step::End(LastPart {
            index: self.job.request.index(),
            head,
            body,
            end,
        }))
    }

    /// Decides if we send the request again, and records that in the job and in the
    /// metrics.
    fn decide<'r>(&mut self, result: AttemptResult<'r>) -> Verdict<'r> {
        let engine = &self.worker.run.engine;
        let attempt = self.job.attempt(self.request, self.budget);
        let verdict = engine.retry.decide(&attempt, result);
        match &verdict {
            Verdict::Retry { cause, after } => {
                engine.metrics.retries.inc(cause.label());
                self.job.note_retry(cause, *after);
            }
            Verdict::Resend => self.job.note_resend(),
            Verdict::Done => {}
        }
        verdict
    }
}
