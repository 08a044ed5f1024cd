//! Decides whether a request gets another attempt, and when.
//!
//! An idempotent request is retried after a transient error and after the statuses
//! 408, 429, 502, 503 and 504. Any other request is retried only if nothing of it was
//! written. Delays grow from 200 ms to 10 s with full jitter, unless the origin asks
//! for a delay of its own. A [`Budget`] for each caller and host limits the retries,
//! so that a failing host does not get many times as many requests as a healthy one,
//! and no caller uses up the retries of the others.

mod backoff;
mod budgets;
mod retry_after;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use http::StatusCode;
use tokio::time::Instant;

use crate::{
    caller::Caller,
    request::Request,
    response::{FetchError, Head, Reason},
};
pub(crate) use budgets::Budget;
use budgets::Budgets;

/// The rules for retries, with the budgets of all callers.
pub(crate) struct Policy {
    budgets: Budgets,
    /// Returns a random number from 0 to 1.
    random: fn() -> f64,
}

/// The facts about an attempt that the rules look at.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) request: &'a Request,
    /// The position of this attempt among those of the request, from 1.
    pub(crate) number: u32,
    /// The number of redirects that it followed.
    pub(crate) redirects: u32,
    /// A part of the result was handed to the caller.
    pub(crate) has_sent_part: bool,
    /// The same attempt was resent before.
    pub(crate) is_resent: bool,
    /// When the timeout of the request elapses.
    pub(crate) deadline: Instant,
    pub(crate) budget: &'a Budget,
}

/// What happened in an attempt.
#[derive(Clone, Copy)]
pub(crate) enum AttemptResult<'a> {
    /// The head of the final response arrived.
    Head(&'a Head),
    /// The attempt failed, before the head or after it.
    Failed(&'a FetchError),
    /// The response is complete, but it may belong to another request on the same
    /// connection.
    Ambiguous,
}

/// The decision on an attempt.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// There is no other attempt: the request goes on with its response, or ends with
    /// its error.
    Done,
    /// Another attempt starts after a delay.
    Retry {
        after: Duration,
        cause: RetryCause<'a>,
    },
    /// The same attempt is made again at once, on a new connection.
    Resend,
}

/// Why a request is retried.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RetryCause<'a> {
    Error(&'a FetchError),
    Status(StatusCode),
}

impl Policy {
    /// Creates a policy with full budgets.
    pub(crate) fn new() -> Self {
        Self {
            budgets: Budgets::new(),
            random: fastrand::f64,
        }
    }

    /// Returns the budget of `caller` at the host of `request`.
    pub(crate) fn budget(&self, caller: Caller, request: &Request) -> Budget {
        self.budgets.budget(caller, request)
    }

    /// Decides whether a request is sent again after the `result` of an `attempt`. A
    /// retry is withdrawn from the budget.
    pub(crate) fn decide<'a>(
        &self,
        attempt: &Attempt<'_>,
        result: AttemptResult<'a>,
    ) -> Verdict<'a> {
        if attempt.has_sent_part {
            return Verdict::Done;
        }
        let (cause, requested) = match result {
            AttemptResult::Head(head) if attempt.may_retry_status(head.status) => {
                let requested = retry_after::parse(&head.headers, SystemTime::now());
                (RetryCause::Status(head.status), requested)
            }
            AttemptResult::Failed(error) if attempt.may_retry_error(error) => {
                (RetryCause::Error(error), None)
            }
            AttemptResult::Ambiguous if attempt.may_resend() => return Verdict::Resend,
            _ => return Verdict::Done,
        };
        if attempt.number >= attempt.request.options.max_attempts {
            return Verdict::Done;
        }
        let after = requested.unwrap_or_else(|| backoff::delay(attempt.number, (self.random)()));
        if !attempt.has_time_for(after) || !attempt.budget.withdraw() {
            return Verdict::Done;
        }
        Verdict::Retry { after, cause }
    }
}

impl Attempt<'_> {
    fn may_retry_status(&self, status: StatusCode) -> bool {
        matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504) && self.request.is_idempotent()
    }

    fn may_retry_error(&self, error: &FetchError) -> bool {
        // These errors occur before anything is written to the origin. After a
        // redirect, another origin has received the request.
        let is_unconnected = matches!(error.reason, Reason::Dns | Reason::Connect | Reason::Tls);
        let is_unwritten = is_unconnected && self.redirects == 0;
        error.retryable && (self.request.is_idempotent() || is_unwritten)
    }

    fn may_resend(&self) -> bool {
        self.request.is_idempotent() && !self.is_resent
    }

    /// Returns true if `delay` is not too long, and ends before the timeout of the
    /// request.
    fn has_time_for(&self, delay: Duration) -> bool {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        delay < remaining && delay <= retry_after::MAX_DELAY
    }
}

impl RetryCause<'_> {
    /// Returns the label of the cause in metrics, one of a small set.
    pub(crate) fn label(&self) -> &str {
        match self {
            Self::Error(error) => error.reason.as_str(),
            Self::Status(status) => status.as_str(),
        }
    }
}

impl fmt::Display for RetryCause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => error.fmt(f),
            Self::Status(status) => write!(f, "status {status}"),
        }
    }
}
