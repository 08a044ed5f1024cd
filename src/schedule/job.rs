//! One request, from its first wait for a slot to its end.

use std::time::Duration;

use tokio::time::Instant;

use super::last_part::LastPart;
use crate::{
    clock::Clock,
    fetch::AttemptStats,
    request::{Options, Request, Sendable},
    response::{End, FetchError, Reason, Timing},
    retry::{Attempt, Budget, RetryCause},
};

/// The state of one request.
pub(super) struct Job {
    pub(super) request: Sendable,
    /// The trace of the last attempt.
    pub(super) trace: AttemptStats,
    /// The last attempt was resent.
    is_resent: bool,
    attempts: u32,
    /// Why the attempt before the last was retried.
    previous: Option<String>,
    /// Since when it waits for a slot, unless it has one.
    waiting_since: Option<Instant>,
    /// The time spent waiting for slots before.
    queued: Duration,
    started: Option<Started>,
    /// The bytes of the body that were handed over, if any part was.
    sent: Option<u64>,
}

/// The state from the first dispatch on.
struct Started {
    at: Instant,
    first_byte: Option<Duration>,
    clock: Clock,
}

impl Job {
    /// Creates the job of a request that waits since `arrival`.
    pub(super) fn new(request: Sendable, arrival: Instant) -> Self {
        Self {
            request,
            trace: AttemptStats::default(),
            is_resent: false,
            attempts: 0,
            previous: None,
            waiting_since: Some(arrival),
            queued: Duration::ZERO,
            started: None,
            sent: None,
        }
    }

    /// Starts an attempt, for which the job has a slot now. The time spent waiting
    /// for the slot does not count towards the timeout.
    pub(super) fn dispatch(&mut self, options: &Options) {
        let now = Instant::now();
        let waited = self.waited(now);
        self.waiting_since = None;
        self.queued += waited;
        self.attempts += 1;
        self.is_resent = false;
        if let Some(started) = &mut self.started {
            started.clock.extend(waited);
        }
        self.started.get_or_insert_with(|| Started {
            at: now,
            first_byte: None,
            clock: Clock::start(options, now),
        });
    }

    /// Returns how long the job has been waiting for a slot at `now`.
    fn waited(&self, now: Instant) -> Duration {
        // During a back-off, the wait has not begun yet.
        let since = self.waiting_since.unwrap_or(now);
        now.saturating_duration_since(since)
    }

    /// Returns true in the first attempt.
    pub(super) fn is_first_attempt(&self) -> bool {
        self.attempts == 1
    }

    /// Returns the timeouts of the request. There must have been a dispatch.
    pub(super) fn clock(&mut self) -> &mut Clock {
        let started = self.started.as_mut();
        &mut started.expect("an attempt begins with a dispatch").clock
    }

    /// Notes that the head of the final response arrived.
    pub(super) fn note_head(&mut self) {
        if let Some(started) = &mut self.started {
            started.first_byte = Some(started.at.elapsed());
        }
    }

    /// Notes that a part with `body` bytes was handed to the caller.
    pub(super) fn note_sent(&mut self, body: usize) {
        *self.sent.get_or_insert(0) += body as u64;
    }

    /// Notes that the attempt is resent.
    pub(super) fn note_resend(&mut self) {
        self.is_resent = true;
    }

    /// Notes that the request is retried because of `cause`.
    pub(super) fn note_retry(&mut self, cause: &RetryCause<'_>) {
        self.previous = Some(cause.to_string());
        if let Some(started) = &mut self.started {
            started.first_byte = None;
        }
    }

    /// Describes the current attempt.
    pub(super) fn attempt<'a>(&mut self, request: &'a Request, budget: &'a Budget) -> Attempt<'a> {
        Attempt {
            request,
            number: self.attempts,
            redirects: self.trace.redirects,
            has_sent_part: self.sent.is_some(),
            is_resent: self.is_resent,
            deadline: self.clock().deadline(),
            budget,
        }
    }

    /// Lets the job wait for a slot again from `due` on.
    pub(super) fn wait_from(&mut self, due: Instant) {
        self.waiting_since = Some(due);
    }

    /// Returns the end of the job, whose last part has `body` bytes.
    pub(super) fn end(&self, body: usize, error: Option<FetchError>) -> End {
        let started = self.started.as_ref();
        End {
            error: error.map(|error| self.explain(error)),
            attempts: self.attempts,
            redirects: self.trace.redirects,
            body_bytes: self.sent.unwrap_or(0) + body as u64,
            truncated: false,
            timing: Timing {
                queued: self.queued + self.waited(Instant::now()),
                first_byte: started.and_then(|started| started.first_byte),
                total: started.map(|started| started.at.elapsed()),
                phases: self.trace.phases,
            },
        }
    }

    /// Returns the last part of a job that ends with `error` and nothing else.
    pub(super) fn fail(&self, error: FetchError) -> LastPart {
        LastPart::failed(self.request.index(), self.end(0, Some(error)))
    }

    /// Adds the cause of the last retry to a timeout, which left too little time for
    /// this attempt.
    fn explain(&self, mut error: FetchError) -> FetchError {
        if let (Reason::Timeout, Some(previous)) = (error.reason, &self.previous) {
            error.message = format!(
                "{} in attempt {}; the previous attempt ended with: {previous}",
                error.message, self.attempts
            );
        }
        error
    }
}
