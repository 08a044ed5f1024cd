//! Retries: should there be another attempt, and when?
//!
//! An idempotent request is retried after transient errors, and if its status is 408,
//! 429, 502, 503 or 504. Any other request is only retried if we haven't written any of
//! it.
//!
//! The delay is random (full jitter). Its upper limit grows from 200 ms to 10 s with each
//! attempt. If the origin asks for a specific delay, we use that instead. In addition,
//! retries are limited by a [`Budget`] for each caller and host. Without it, a failing
//! host would get many times as many requests as a healthy one, and a single caller could
//! use up everybody else's retries.

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
use budgets::Budgets;
pub(crate) use budgets::{Budget, BudgetCounts};

/// The retry rules, along with the budgets of all callers.
pub(crate) struct Policy {
    budgets: Budgets,
    /// Returns a random number between 0 and 1.
    random: fn() -> f64,
}

/// Everything the rules need to know about an attempt.
#[derive(Clone, Copy)]
pub(crate) struct Attempt<'a> {
    pub(crate) request: &'a Request,
    /// Which of the request's attempts this is, counting from 1.
    pub(crate) number: u32,
    /// How many redirects this attempt followed.
    pub(crate) redirects: u32,
    /// Set if the caller has already got part of the result.
    pub(crate) has_sent_part: bool,
    /// Set if this attempt has been resent before.
    pub(crate) is_resent: bool,
    /// When the request times out.
    pub(crate) deadline: Instant,
    pub(crate) budget: &'a Budget,
}

/// The outcome of an attempt.
#[derive(Clone, Copy)]
pub(crate) enum AttemptResult<'a> {
    /// We've got the head of the final response.
    Head(&'a Head),
    /// The attempt failed. This may happen before we've got the head, or after.
    Failed(&'a FetchError),
    /// We've got a complete response, but it might belong to another request on the same
    /// connection.
    Ambiguous,
}

/// What to do next.
#[derive(Debug)]
pub(crate) enum Verdict<'a> {
    /// Don't make another attempt. The request continues with the response it has got, or
    /// ends with its error.
    Done,
    /// Make another attempt after a delay.
    Retry {
        after: Duration,
        cause: RetryCause<'a>,
    },
    /// Repeat this attempt right away on a new connection.
    Resend,
}

/// The reason for a retry.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RetryCause<'a> {
    Error(&'a FetchError),
    Status(StatusCode),
}

impl Policy {
    /// Creates a policy. All budgets are full at first.
    pub(crate) fn new() -> Self {
        Self {
            budgets: Budgets::new(),
            random: fastrand::f64,
        }
    }

    /// Returns the budget for `caller` at the host that `request` goes to.
    pub(crate) fn budget(&self, caller: Caller, request: &Request) -> Budget {
        self.budgets.budget(caller, request)
    }

    /// Returns how many budgets there are, and how many retries they have denied.
    pub(crate) fn budget_counts(&self) -> BudgetCounts {
        self.budgets.counts()
    }

    /// Decides what to do after an attempt. If there's a retry, it's withdrawn from the
    /// budget.
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
        if !attempt.has_time_for(after) {
            return Verdict::Done;
        }
        if !attempt.budget.withdraw() {
            self.budgets.count_denied();
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
        // If any of these happen, then we haven't written anything to the origin yet. But
        // if there was a redirect, another origin has received the request before.
        let is_unconnected = matches!(error.reason, Reason::Dns | Reason::Connect | Reason::Tls);
        let is_unwritten = is_unconnected && self.redirects == 0;
        error.retryable && (self.request.is_idempotent() || is_unwritten)
    }

    fn may_resend(&self) -> bool {
        self.request.is_idempotent() && !self.is_resent
    }

    /// Returns true if `delay` isn't too long, and if it's over before the request times
    /// out.
    fn has_time_for(&self, delay: Duration) -> bool {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        delay < remaining && delay <= retry_after::MAX_DELAY
    }
}

impl RetryCause<'_> {
    /// All labels that [`RetryCause::label`] returns for retries.
    pub(crate) const LABELS: [&'static str; 11] = [
        "408",
        "429",
        "502",
        "503",
        "504",
        "dns",
        "connect",
        "tls",
        "timeout",
        "disconnected",
        "internal",
    ];

    /// Returns a label for metrics, which is one of [`RetryCause::LABELS`].
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
