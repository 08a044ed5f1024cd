//! How long no replica has answered a list: everything left ends when that has
//! lasted too long, rather than each request paying for it anew.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Error,
    failure::{Failure, Meaning},
};

/// Since when no replica has answered, if any call has failed since the last answer.
#[derive(Debug)]
pub(super) struct Outage {
    give_up_after: Duration,
    silence: Option<Silence>,
}

#[derive(Debug)]
struct Silence {
    since: Instant,
    last: Failure,
}

/// How many times as long the replicas may say that they are full: they are there.
const FULL: u32 = 4;

impl Outage {
    /// None; one may last for `give_up_after`.
    pub(super) fn new(give_up_after: Duration) -> Self {
        Self {
            give_up_after,
            silence: None,
        }
    }

    /// Notes that a replica answered.
    pub(super) fn is_over(&mut self) {
        self.silence = None;
    }

    /// Notes that a call failed.
    pub(super) fn failed(&mut self, failure: &Failure) {
        let before = self.silence.as_ref();
        let since = before.map_or_else(Instant::now, |silence| silence.since);
        let last = failure.clone();
        self.silence = Some(Silence { since, last });
    }

    /// Notes what became of a call.
    pub(super) fn note(&mut self, answered: Result<(), Failure>) {
        match answered {
            Ok(()) => self.is_over(),
            Err(failure) => self.failed(&failure),
        }
    }

    /// When it has lasted too long.
    pub(super) fn end(&self) -> Option<Instant> {
        let silence = self.silence.as_ref()?;
        silence.since.checked_add(self.limit(silence))
    }

    /// The error of the requests that are left when it has lasted too long, with the
    /// addresses of the replicas, `names`.
    pub(super) fn error(&self, names: &str) -> Error {
        let silence = self.silence.as_ref();
        let after = silence.map_or(self.give_up_after, |silence| self.limit(silence));
        let last = silence.map(|silence| format!(": {}", silence.last.error));
        let last = last.unwrap_or_default();
        Error::Call {
            code: "UNAVAILABLE",
            message: format!("no replica took a request for {after:?} (of {names}){last}"),
            retryable: true,
        }
    }

    fn limit(&self, silence: &Silence) -> Duration {
        match silence.last.meaning {
            Meaning::NotDispatched(Some(_)) => self.give_up_after.saturating_mul(FULL),
            _ => self.give_up_after,
        }
    }
}
