//! The deadline of a list.

use std::time::Duration;

use tokio::time::Instant;

use crate::{client::Error, proto::Reason};

/// The deadline of a list, if it has one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Option<Instant>,
}

/// The time after the deadline in which services may report the end of the requests
/// that they have.
const GRACE: Duration = Duration::from_secs(1);

impl Deadline {
    /// Returns the deadline that is `timeout` from now.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        let at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { at }
    }

    /// Returns the time of the deadline.
    pub(super) fn at(self) -> Option<Instant> {
        self.at
    }

    /// Returns the time at which the client ends all requests itself.
    pub(super) fn end_of_grace(self) -> Option<Instant> {
        self.at.map(|at| at + GRACE)
    }

    /// Returns true if the deadline has passed.
    pub(super) fn has_passed(self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Returns the timeout for a call that begins now. It is never zero: in a message,
    /// that would mean no timeout.
    pub(super) fn remaining(self) -> Option<Duration> {
        let remaining = self.at?.saturating_duration_since(Instant::now());
        Some(remaining.max(Duration::from_millis(1)))
    }

    /// Returns the error of a request that is late.
    pub(super) fn error() -> Error {
        Error::Fetch {
            reason: Reason::BatchDeadline,
            message: "the deadline of the batch passed first".to_owned(),
            retryable: true,
        }
    }
}
