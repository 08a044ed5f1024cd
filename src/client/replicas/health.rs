//! Tracks a replica's health: admitted, ejected, or being probed.
//!
//! If a replica fails, we eject it, so it doesn't get any requests for a while. The
//! first time that's 0.2 s. It doubles with every further failure, up to 5 s. After that
//! we probe the replica, and admit it again if it answers. This means that a replica
//! that's gone, hangs or isn't a fetchd service costs each request one attempt at most.

use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::Instant;

use crate::client::failure::Disposition;

/// A replica's recent successes and failures.
#[derive(Debug, Default)]
pub(super) struct Health {
    /// Number of failures since the last result.
    failures: u32,
    /// Number of calls in a row that never left the client.
    unsent: u32,
    is_foreign: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    /// May get requests.
    #[default]
    Admitted,
    /// Doesn't get any requests. We don't probe it before `until` either.
    Ejected { until: Instant },
    /// We're probing it right now.
    Probed,
}

/// How long the first ejection lasts, and the longest (before jitter).
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// A full replica tells us when to retry. We wait no longer than this (before jitter).
const RETRY_AFTER_MAX: Duration = Duration::from_mins(1);

/// If a call comes back unsent, it's usually not the replica's fault, so we let this
/// many in a row pass. The next one ejects the replica.
const MAX_UNSENT: u32 = 3;

impl Health {
    pub(super) fn is_admitted(&self) -> bool {
        self.state == State::Admitted
    }

    pub(super) fn is_proven(&self) -> bool {
        self.failures == 0
    }

    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    pub(super) fn probe_due(&self) -> Option<Instant> {
        match self.state {
            State::Ejected { until } => Some(until),
            State::Admitted | State::Probed => None,
        }
    }

    pub(super) fn record_success(&mut self) {
        self.failures = 0;
        self.unsent = 0;
        self.is_foreign = false;
    }

    /// Records a failed call. If the replica is already ejected, we ignore this, since
    /// it's most likely a late result of the same problem.
    pub(super) fn record_failure(&mut self, disposition: Disposition) {
        if self.state != State::Admitted {
            return;
        }
        match disposition {
            Disposition::Final | Disposition::Refused => return,
            Disposition::Unsent => {
                self.unsent += 1;
                if self.unsent <= MAX_UNSENT {
                    return;
                }
            }
            Disposition::NotDispatched { .. } | Disposition::Foreign | Disposition::Lost => {}
        }
        self.eject(disposition);
    }

    /// Starts a probe if one is due. Returns true if it did.
    pub(super) fn start_probe(&mut self, now: Instant) -> bool {
        let is_due = self.probe_due().is_some_and(|due| due <= now);
        if is_due {
            self.state = State::Probed;
        }
        is_due
    }

    /// Records how a probe ended.
    pub(super) fn end_probe(&mut self, failure: Option<Disposition>) {
        match failure {
            None => self.state = State::Admitted,
            Some(disposition) => self.eject(disposition),
        }
    }

    /// Called when a probe is dropped. If it hasn't ended, another one may start at
    /// once.
    pub(super) fn abandon_probe(&mut self) {
        if self.state == State::Probed {
            let until = Instant::now();
            self.state = State::Ejected { until };
        }
    }

    fn eject(&mut self, disposition: Disposition) {
        let doubled = BACKOFF_MIN * 2_u32.pow(self.failures.min(10));
        let backoff = doubled.min(BACKOFF_MAX);
        let retry_after = match disposition {
            Disposition::NotDispatched { retry_after } => retry_after,
            _ => None,
        };
        let wait = retry_after
            .unwrap_or(backoff)
            .clamp(backoff / 2, RETRY_AFTER_MAX);
        self.failures += 1;
        self.unsent = 0;
        self.is_foreign = disposition == Disposition::Foreign;
        self.state = State::Ejected {
            until: Instant::now() + wait + jitter(wait / 2),
        };
    }
}

/// Returns a random duration of up to `max`. Without this, all clients would come back
/// at the same time.
fn jitter(max: Duration) -> Duration {
    let random = RandomState::new().hash_one(());
    let share = u32::try_from(random >> 32).unwrap_or(u32::MAX);
    max.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::{sync::watch, time};
    use tonic::transport::Endpoint;

    use super::{
        super::{Probe, Replica, Service},
        *,
    };

    /// A replica at a port nobody listens on.
    fn replica() -> Arc<Replica> {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        Arc::new(Replica::new(
            "127.0.0.1:1".to_owned(),
            0,
            Service::new(channel, None),
        ))
    }

    fn probe(replica: &Arc<Replica>) -> Option<Probe> {
        Probe::of(replica, Instant::now(), &watch::Sender::new(()))
    }

    #[tokio::test(start_paused = true)]
    async fn ejected_replica_is_probed_after_a_bounded_wait() {
        let replica = replica();
        let retry_after = Some(Duration::MAX);
        replica.record_failure(Disposition::NotDispatched { retry_after });
        // Neither of these changes the ejection.
        replica.record_failure(Disposition::Lost);
        replica.record_success();
        assert!(!replica.is_admitted() && probe(&replica).is_none());
        time::advance(2 * RETRY_AFTER_MAX).await;
        let first = probe(&replica).unwrap();
        assert!(probe(&replica).is_none(), "one at a time");
        drop(first);
        let second = probe(&replica).unwrap();
        assert!(second.run().await.is_err() && !replica.is_admitted());
        time::advance(2 * BACKOFF_MIN).await;
        assert!(probe(&replica).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn back_off_grows_with_each_failure() {
        let replica = replica();
        let mut waits = Vec::new();
        replica.record_failure(Disposition::Lost);
        for _ in 0..8 {
            let due = replica.probe_due().unwrap();
            waits.push(due - Instant::now());
            time::sleep_until(due).await;
            let probe = probe(&replica).unwrap();
            assert!(probe.run().await.is_err());
        }
        assert!(
            waits[0] < 2 * BACKOFF_MIN && waits[7] >= BACKOFF_MAX,
            "{waits:?}"
        );
    }

    #[tokio::test]
    async fn first_unsent_calls_eject_no_replica() {
        let replica = replica();
        for _ in 0..MAX_UNSENT {
            replica.record_failure(Disposition::Unsent);
            assert!(replica.is_admitted());
        }
        replica.record_failure(Disposition::Unsent);
        assert!(!replica.is_admitted());
    }
}
