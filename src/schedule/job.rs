//! One request on its way, from its first wait to its end.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    clock::Clock,
    fetch::AttemptStats,
    request::{Options, Request},
    response::{End, FetchError, Head, Reason, Timing},
    retry,
};

/// What became of a request so far.
pub(super) struct Job {
    /// Its position in the batch.
    pub(super) index: u32,
    /// How the last attempt went.
    pub(super) trace: AttemptStats,
    /// The response to the last attempt was doubted.
    is_doubted: bool,
    attempts: u32,
    /// What the attempt before the last met.
    met: Option<String>,
    /// Since when it waits for a slot, as long as it does.
    waiting_since: Option<Instant>,
    queued: Duration,
    started: Option<Started>,
    /// Whether a part was handed to the caller, and how much of the body.
    sent: Option<u64>,
}

/// What is known from the first dispatch on.
struct Started {
    at: Instant,
    first_byte: Option<Duration>,
    clock: Clock,
}

/// What an attempt met that another may not.
pub(super) enum Met<'a> {
    Error(&'a FetchError),
    Status(&'a Head),
}

impl Job {
    /// A request that waits since `arrival`.
    pub(super) fn new(index: u32, arrival: Instant) -> Self {
        Self {
            index,
            trace: AttemptStats::default(),
            is_doubted: false,
            attempts: 0,
            met: None,
            waiting_since: Some(arrival),
            queued: Duration::ZERO,
            started: None,
            sent: None,
        }
    }

    /// Starts an attempt, for which there is a slot now. The clocks stood still
    /// since the job began to wait for it.
    pub(super) fn dispatch(&mut self, options: &Options) {
        let now = Instant::now();
        let waited = self.waited(now);
        self.waiting_since = None;
        self.queued += waited;
        self.attempts += 1;
        self.is_doubted = false;
        if let Some(started) = &mut self.started {
            started.clock.forgive(waited);
        }
        self.started.get_or_insert_with(|| Started {
            at: now,
            first_byte: None,
            clock: Clock::start(options, now),
        });
    }

    /// How long the wait for a slot, where there is one, lasts by `now`.
    fn waited(&self, now: Instant) -> Duration {
        // That for another attempt may not have begun.
        let since = self.waiting_since.unwrap_or(now);
        now.saturating_duration_since(since)
    }

    /// Whether no attempt was made before the one under way.
    pub(super) fn is_first_attempt(&self) -> bool {
        self.attempts == 1
    }

    /// The clocks, which run since the first dispatch.
    pub(super) fn clock(&mut self) -> &mut Clock {
        let started = self.started.as_mut();
        &mut started.expect("an attempt begins with a dispatch").clock
    }

    /// Notes that the head of the final response is there.
    pub(super) fn head_came(&mut self) {
        if let Some(started) = &mut self.started {
            started.first_byte = Some(started.at.elapsed());
        }
    }

    /// Notes what was handed to the caller.
    pub(super) fn handed_over(&mut self, body: usize) {
        *self.sent.get_or_insert(0) += body as u64;
    }

    /// Returns true, once for each attempt, if a response that may not be that of
    /// `request` can be asked for again: nothing of it was handed over, and
    /// asking twice does no harm.
    pub(super) fn may_be_doubted(&mut self, request: &Request) -> bool {
        self.sent.is_none()
            && request.is_idempotent()
            && !std::mem::replace(&mut self.is_doubted, true)
    }

    /// How long to wait for another attempt after one that `met` something, or
    /// `None` where no other may follow: they are used up, the caller has part
    /// of a result, or the `budget` is used up.
    pub(super) fn try_again(
        &mut self,
        budget: &retry::Budget,
        options: &Options,
        met: &Met<'_>,
    ) -> Option<Duration> {
        if self.sent.is_some() || self.attempts >= options.max_attempts {
            return None;
        }
        let asked = match met {
            Met::Error(_) => None,
            Met::Status(head) => retry::asked_wait(&head.headers, SystemTime::now()),
        };
        let left = self.clock().remaining();
        let wait = budget.wait(self.attempts, asked, left, rand::random())?;
        self.met = Some(met.to_string());
        if let Some(started) = &mut self.started {
            started.first_byte = None;
        }
        Some(wait)
    }

    /// From `due` on, the job waits for a slot again.
    pub(super) fn wait_from(&mut self, due: Instant) {
        self.waiting_since = Some(due);
    }

    /// The end of a job whose last part holds `body` more bytes.
    pub(super) fn end(&self, body: usize, error: Option<FetchError>) -> End {
        let started = self.started.as_ref();
        End {
            error: error.map(|error| self.explained(error)),
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

    /// A timeout also says what the attempt before met, as that is why there
    /// was too little time.
    fn explained(&self, mut error: FetchError) -> FetchError {
        if let (Reason::Timeout, Some(met)) = (error.reason, &self.met) {
            let attempt = self.attempts;
            let text = &error.message;
            error.message = format!("{text} in attempt {attempt}; the one before met: {met}");
        }
        error
    }
}

impl Met<'_> {
    /// Its name in a metric, one of a few.
    pub(super) fn cause(&self) -> &str {
        match self {
            Self::Error(error) => error.reason.as_str(),
            // Of those that ask for another attempt.
            Self::Status(head) => head.status.as_str(),
        }
    }
}

impl fmt::Display for Met<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Status(head) => write!(f, "status {}", head.status),
        }
    }
}
