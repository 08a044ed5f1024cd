//! How long no replica has answered a list: everything left ends when that has
//! lasted too long, rather than each request paying for it anew.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Error,
    failure::{Failure, Meaning},
};
use crate::Code;

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

    /// Notes what became of a probe.
    pub(super) fn note(&mut self, answered: Result<(), Failure>) {
        match answered {
            Ok(()) => self.is_probed(),
            Err(failure) => self.failed(&failure),
        }
    }

    /// Notes that a replica answered a probe. One that was full may have room for an
    /// empty batch, and for no other.
    pub(super) fn is_probed(&mut self) {
        if self
            .silence
            .as_ref()
            .is_some_and(|silence| !silence.is_of_full())
        {
            self.is_over();
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
            code: Code::Unavailable,
            message: format!("no replica took a request for {after:?} (of {names}){last}"),
            retryable: true,
        }
    }

    fn limit(&self, silence: &Silence) -> Duration {
        if silence.is_of_full() {
            self.give_up_after.saturating_mul(FULL)
        } else {
            self.give_up_after
        }
    }
}

impl Silence {
    /// Returns true if the replicas are there, and say that they are full.
    fn is_of_full(&self) -> bool {
        matches!(self.last.meaning, Meaning::NotDispatched(Some(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    fn outage_after(meaning: Meaning) -> Outage {
        let mut outage = Outage::new(TIME);
        let failure = Failure::silent(TIME);
        outage.failed(&Failure { meaning, ..failure });
        outage
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_ends_no_wait_for_room() {
        let begun = Instant::now();
        let mut full = outage_after(Meaning::NotDispatched(Some(TIME)));
        full.is_probed();
        assert_eq!(full.end(), Some(begun + FULL * TIME));
        full.is_over();
        assert_eq!(full.end(), None);

        let mut gone = outage_after(Meaning::Lost);
        assert_eq!(gone.end(), Some(begun + TIME));
        gone.is_probed();
        assert_eq!(gone.end(), None);
    }
}
