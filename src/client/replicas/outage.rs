//! Measures how long no replica has answered.
//!
//! If that takes too long, all remaining requests of the list end together. Otherwise
//! each of them would have to wait for the same time limit, one after the other.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::client::{
    Error,
    failure::{Disposition, Failure},
};

/// A time during which no replica answers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outage {
    /// When the first call failed.
    pub since: Instant,
    /// When we give up, unless a replica answers before. `None` if that's never.
    pub give_up_at: Option<Instant>,
    /// The addresses of the replicas. We keep trying all of them.
    pub replicas: String,
    /// The last failure.
    pub error: Error,
}

/// The current outage, if there is one. We share it with whoever reads the results.
pub(crate) type SharedOutage = Arc<Mutex<Option<Outage>>>;

/// Tracks outages of all replicas, from the point of view of one list or one request.
#[derive(Debug)]
pub(super) struct OutageTracker {
    give_up_after: Duration,
    /// Set if a call has failed since the last answer.
    current: Option<Current>,
    shared: SharedOutage,
}

#[derive(Debug)]
struct Current {
    since: Instant,
    last: Failure,
}

/// If the replicas are full, we wait this many times longer before giving up. They do
/// answer in this case, and will have room sooner or later.
const FULL_FACTOR: u32 = 4;

impl OutageTracker {
    /// Creates the tracker. An outage may last for `give_up_after`.
    pub(super) fn new(give_up_after: Duration, shared: SharedOutage) -> Self {
        Self {
            give_up_after,
            current: None,
            shared,
        }
    }

    /// Ends the outage, because a replica answered a call or because no request is
    /// waiting.
    pub(super) fn reset(&mut self) {
        if self.current.take().is_some() {
            *self.shared.lock() = None;
        }
    }

    /// Records that a replica answered a probe. This ends the outage, except if the
    /// replicas are full: a full replica may well answer an empty batch and still reject
    /// all others.
    pub(super) fn record_probe_answer(&mut self) {
        if !self.current.as_ref().is_some_and(Current::is_full) {
            self.reset();
        }
    }

    /// Records that a call or a probe failed. `names` returns the addresses of the
    /// replicas.
    pub(super) fn record_failure(&mut self, failure: &Failure, names: impl FnOnce() -> String) {
        let since = self
            .current
            .as_ref()
            .map_or_else(Instant::now, |current| current.since);
        let last = failure.clone();
        self.current = Some(Current { since, last });
        *self.shared.lock() = Some(Outage {
            since,
            give_up_at: self.end(),
            replicas: names(),
            error: failure.error.clone(),
        });
    }

    /// When the outage will have lasted too long.
    pub(super) fn end(&self) -> Option<Instant> {
        let current = self.current.as_ref()?;
        current.since.checked_add(self.limit(current))
    }

    /// Creates the error for the remaining requests. `names` lists the replicas.
    pub(super) fn error(&self, names: &str) -> Error {
        let (limit, cause) = match &self.current {
            Some(current) => (
                self.limit(current),
                format!("; last error: {}", current.last.error.cause()),
            ),
            None => (self.give_up_after, String::new()),
        };
        Error::service_lost(format!(
            "no replica accepted a request for {limit:?} (of {names}){cause}"
        ))
    }

    fn limit(&self, current: &Current) -> Duration {
        if current.is_full() {
            self.give_up_after.saturating_mul(FULL_FACTOR)
        } else {
            self.give_up_after
        }
    }
}

impl Current {
    /// Returns true if the last failure says that the replica is full.
    fn is_full(&self) -> bool {
        let retry_after = match self.last.disposition {
            Disposition::NotDispatched { retry_after } => retry_after,
            _ => None,
        };
        retry_after.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(30);

    fn outage_after(disposition: Disposition) -> OutageTracker {
        let mut outage = OutageTracker::new(TIME, SharedOutage::default());
        let failure = Failure {
            disposition,
            ..Failure::silent(TIME)
        };
        outage.record_failure(&failure, || "a".to_owned());
        outage
    }

    #[tokio::test(start_paused = true)]
    async fn probe_of_a_full_replica_ends_no_outage() {
        let begun = Instant::now();
        let retry_after = Some(TIME);
        let mut full = outage_after(Disposition::NotDispatched { retry_after });
        full.record_probe_answer();
        assert_eq!(full.end(), Some(begun + FULL_FACTOR * TIME));
        full.reset();
        assert_eq!(full.end(), None);

        let mut gone = outage_after(Disposition::Lost);
        assert_eq!(gone.end(), Some(begun + TIME));
        gone.record_probe_answer();
        assert_eq!(gone.end(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn outage_is_shared_until_it_ends() {
        let mut gone = outage_after(Disposition::Lost);
        let shared = gone.shared.lock().clone().unwrap();
        assert_eq!(shared.give_up_at, Some(shared.since + TIME));
        assert_eq!(shared.replicas, "a");
        gone.record_probe_answer();
        assert!(gone.shared.lock().is_none());
    }
}
