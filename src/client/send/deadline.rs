//! List deadlines.

use std::time::Duration;

use tokio::time::Instant;

use crate::{client::Error, proto::Reason};

/// A list's deadline. It may not have one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    at: Option<Instant>,
}

/// After the deadline, the services get this much time to report how their requests
/// ended. After that we end them ourselves.
const GRACE: Duration = Duration::from_secs(1);

impl Deadline {
    /// Sets the deadline to `timeout` from now.
    pub(super) fn after(timeout: Option<Duration>) -> Self {
        let at = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        Self { at }
    }

    pub(super) fn at(self) -> Option<Instant> {
        self.at
    }

    /// Returns when the client ends all requests itself.
    pub(super) fn end_of_grace(self) -> Option<Instant> {
        self.at.map(|at| at + GRACE)
    }

    pub(super) fn has_passed(self) -> bool {
        self.at.is_some_and(|at| at <= Instant::now())
    }

    /// Returns the timeout for a call that starts now. We return at least 1 ms here,
    /// because zero would mean "no timeout" in a message.
    pub(super) fn remaining(self) -> Option<Duration> {
        let remaining = self.at?.saturating_duration_since(Instant::now());
        Some(remaining.max(Duration::from_millis(1)))
    }

    /// The error for requests that missed the deadline.
    pub(super) fn error() -> Error {
        Error::Fetch {
            reason: Reason::BatchDeadline,
            message: "the deadline of the batch passed first".to_owned(),
            retryable: true,
        }
    }
}
