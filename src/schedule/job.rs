//! A single request, from when it first waits for a slot until it ends.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    host_stats::{HostRequest, HostStats},
    last_part::LastPart,
};
use crate::{
    clock::Clock,
    fetch::AttemptStats,
    request::{Request, Sendable},
    response::{End, FetchError, Head, Reason, Timing},
    retry::{Attempt, Budget, RetryCause},
    telemetry::{BatchTrace, RequestTrace},
};

/// A request's state.
pub(super) struct Job {
    pub(super) request: Sendable,
    /// Stats from the last attempt.
    pub(super) stats: AttemptStats,
    /// Whether the last attempt was resent.
    is_resent: bool,
    attempts: u32,
    /// Why we retried the previous attempt.
    previous: Option<String>,
    /// When it started waiting for a slot. `None` if it has one.
    waiting_since: Option<Instant>,
    /// How long it has waited for slots, not counting the current wait.
    queued: Duration,
    started: Option<Started>,
    /// How many body bytes we've handed over. `None` if we haven't handed over any part
    /// yet.
    sent: Option<u64>,
    /// The request's span. It begins with the first dispatch.
    trace: RequestTrace,
    /// What counts for the request's host, from the first dispatch on. `None` if hosts have
    /// no statistics.
    host: Option<HostRequest>,
}

/// State that only exists after the first dispatch.
struct Started {
    at: Instant,
    first_byte: Option<Duration>,
    clock: Clock,
}

impl Job {
    /// Creates a job for a request that has been waiting since `arrival`.
    pub(super) fn new(request: Sendable, arrival: Instant) -> Self {
        Self {
            request,
            stats: AttemptStats::default(),
            is_resent: false,
            attempts: 0,
            previous: None,
            waiting_since: Some(arrival),
            queued: Duration::ZERO,
            started: None,
            sent: None,
            trace: RequestTrace::default(),
            host: None,
        }
    }

    /// Starts an attempt, because the job just got a slot. Time spent waiting for the
    /// slot doesn't count towards the timeout. If the batch has a `trace`, the first attempt
    /// starts the request's span.
    pub(super) fn dispatch(
        &mut self,
        request: &Request,
        trace: Option<&Arc<BatchTrace>>,
        hosts: Option<&HostStats>,
    ) {
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
            clock: Clock::start(&request.options, now),
        });
        if self.is_first_attempt() {
            if let Some(batch) = trace {
                self.trace = batch.request(self.request.index(), request, now);
            }
            self.host = hosts.map(|hosts| hosts.request(&request.uri, now));
        }
        self.trace.attempt(self.attempts, waited);
    }

    /// Returns how long the job has been waiting for a slot, as of `now`.
    fn waited(&self, now: Instant) -> Duration {
        // During a back-off, `waiting_since` is in the future, so this is 0.
        let since = self.waiting_since.unwrap_or(now);
        now.saturating_duration_since(since)
    }

    /// Returns true if the job has had an attempt.
    pub(super) fn is_dispatched(&self) -> bool {
        self.started.is_some()
    }

    /// Returns true during the first attempt.
    pub(super) fn is_first_attempt(&self) -> bool {
        self.attempts == 1
    }

    /// Returns the request's timeouts. Panics if it was never dispatched.
    pub(super) fn clock(&mut self) -> &mut Clock {
        self.clock_and_trace().0
    }

    /// Like [`Job::clock`], but also returns the request's span.
    pub(super) fn clock_and_trace(&mut self) -> (&mut Clock, &mut RequestTrace) {
        let started = self.started.as_mut();
        let started = started.expect("an attempt begins with a dispatch");
        (&mut started.clock, &mut self.trace)
    }

    /// Records that we got the head of the final response.
    pub(super) fn note_head(&mut self, head: &Head) {
        self.trace.responded(head);
        if let Some(host) = &mut self.host {
            host.note_status(head.status);
        }
        if let Some(started) = &mut self.started {
            started.first_byte = Some(started.at.elapsed());
        }
    }

    /// Records that we handed over a part with `body` bytes.
    pub(super) fn note_sent(&mut self, body: usize) {
        *self.sent.get_or_insert(0) += body as u64;
    }

    /// Records that we're resending the attempt.
    pub(super) fn note_resend(&mut self) {
        self.trace.resent();
        self.is_resent = true;
    }

    /// Records that we'll retry the request after `delay` because of `cause`.
    pub(super) fn note_retry(&mut self, cause: &RetryCause<'_>, delay: Duration) {
        self.trace.retried(cause.label(), cause, delay);
        self.previous = Some(cause.to_string());
        if let Some(started) = &mut self.started {
            started.first_byte = None;
        }
    }

    /// Describes the current attempt, for the retry policy.
    pub(super) fn attempt<'a>(&mut self, request: &'a Request, budget: &'a Budget) -> Attempt<'a> {
        Attempt {
            request,
            number: self.attempts,
            redirects: self.stats.redirects,
            has_sent_part: self.sent.is_some(),
            is_resent: self.is_resent,
            deadline: self.clock().deadline(),
            budget,
        }
    }

    /// Makes the job wait for a slot again, starting at `due`.
    pub(super) fn wait_from(&mut self, due: Instant) {
        self.waiting_since = Some(due);
    }

    /// Returns how long the hops before the last one took, if there were any.
    fn earlier(&self) -> Option<Duration> {
        let is_first = self.attempts <= 1 && self.stats.redirects == 0;
        let began = self.stats.hop_began.filter(|_| !is_first)?;
        Some(began - self.started.as_ref()?.at)
    }

    /// Returns the job's end. `body` is how many bytes there are in its last part.
    pub(super) fn end(&mut self, body: usize, error: Option<FetchError>) -> End {
        let started = self.started.as_ref();
        let end = End {
            error: error.map(|error| self.explain(error)),
            attempts: self.attempts,
            redirects: self.stats.redirects,
            body_bytes: self.sent.unwrap_or(0) + body as u64,
            truncated: false,
            timing: Timing {
                queued: self.queued + self.waited(Instant::now()),
                first_byte: started.and_then(|started| started.first_byte),
                total: started.map(|started| started.at.elapsed()),
                earlier: self.earlier(),
                phases: self.stats.phases,
            },
        };
        self.trace.end(&end);
        if let Some(host) = &mut self.host {
            host.end(&end);
        }
        end
    }

    /// Returns the last part of a job that failed with `error` and has nothing else to
    /// return.
    pub(super) fn fail(&mut self, error: FetchError) -> LastPart {
        LastPart::failed(self.request.index(), self.end(0, Some(error)))
    }

    /// Adds the reason for the last retry if `error` is a timeout. Without it, you
    /// couldn't tell why there was so little time left for this attempt.
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
