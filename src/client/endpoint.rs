//! One replica: whether it may be given requests, and how much a host prefers it.
//!
//! A replica that fails is ejected for a while that grows with its failures. When
//! that has passed it is asked to do an empty batch, and gets requests again once
//! it has: so a replica that is gone, hangs or is no such service costs no request
//! more than one try.

use std::{
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{self, Instant},
};
use tonic::transport::Channel;

use super::failure::{Failure, Meaning};
use crate::proto::{FetchBatchRequest, fetch_service_client::FetchServiceClient};

/// One replica.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// Its address, which tells it from the others.
    name: String,
    /// Which of the URLs it was found by.
    pub(super) found_by: usize,
    service: FetchServiceClient<Channel>,
    health: Mutex<Health>,
}

/// What has gone wrong with a replica lately.
#[derive(Debug, Default)]
struct Health {
    /// Since it last gave a result.
    failures: u32,
    /// Calls in a row that never left the client.
    unsent: u32,
    /// It answers, and not as this service does.
    is_foreign: bool,
    standing: Standing,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    /// It may be given requests.
    #[default]
    Admitted,
    /// It is left alone until then, and then probed.
    Ejected(Instant),
    /// An empty batch is under way.
    Probed,
}

/// An empty batch that shows whether a replica works. Dropped before it has ended,
/// it leaves the question to another.
pub(super) struct Probe {
    endpoint: Arc<Endpoint>,
    /// Told when it has ended, also if it is dropped.
    ended: Arc<Notify>,
}

/// How long a replica is left alone after its first failure, and at most.
pub(super) const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The longest wait that a replica may ask for.
pub(super) const WAIT_MAX: Duration = Duration::from_mins(1);

/// How long an empty batch may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);

/// How many calls in a row may be given back unsent before their replica counts as
/// failed.
const MAX_UNSENT: u32 = 3;

impl Endpoint {
    pub(super) fn new(name: String, found_by: usize, channel: Channel) -> Self {
        Self {
            name,
            found_by,
            service: FetchServiceClient::new(channel),
            health: Mutex::default(),
        }
    }

    /// Its address.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn service(&self) -> FetchServiceClient<Channel> {
        self.service.clone()
    }

    /// Returns true if it may be given requests.
    pub(super) fn is_admitted(&self) -> bool {
        self.health().standing == Standing::Admitted
    }

    /// Returns true if nothing has failed since its last result.
    pub(super) fn is_proven(&self) -> bool {
        self.health().failures == 0
    }

    /// Returns true if it does not answer as this service does.
    pub(super) fn is_foreign(&self) -> bool {
        self.health().is_foreign
    }

    /// When it is to be probed, if it is ejected.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        match self.health().standing {
            Standing::Ejected(until) => Some(until),
            Standing::Admitted | Standing::Probed => None,
        }
    }

    /// The probe that is due by `now`, if one is, of whose end `ended` is told.
    pub(super) fn probe(self: &Arc<Self>, now: Instant, ended: &Arc<Notify>) -> Option<Probe> {
        let mut health = self.health();
        let is_due = matches!(health.standing, Standing::Ejected(until) if until <= now);
        is_due.then(|| {
            health.standing = Standing::Probed;
            Probe {
                endpoint: Arc::clone(self),
                ended: Arc::clone(ended),
            }
        })
    }

    /// How much `host` prefers this replica: the highest is its first choice
    /// (rendezvous hashing), whatever other replicas come and go.
    pub(super) fn weight(&self, host: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (host, &self.name).hash(&mut hasher);
        hasher.finish()
    }

    /// Ejects the replica after a failure of this `meaning`, if it is to blame. A
    /// failure while it is ejected is part of the one before.
    pub(super) fn failed(&self, meaning: Meaning) {
        let mut health = self.health();
        let is_to_blame = !matches!(meaning, Meaning::Final | Meaning::Refused);
        if health.standing != Standing::Admitted || !is_to_blame {
            return;
        }
        if meaning == Meaning::Unsent {
            health.unsent += 1;
            if health.unsent <= MAX_UNSENT {
                return;
            }
        }
        health.eject(meaning);
    }

    /// Notes that it gave a result.
    pub(super) fn works(&self) {
        let mut health = self.health();
        health.failures = 0;
        health.unsent = 0;
        health.is_foreign = false;
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Health {
    fn eject(&mut self, meaning: Meaning) {
        let doubled = BACKOFF_MIN * 2_u32.pow(self.failures.min(10));
        let backoff = doubled.min(BACKOFF_MAX);
        let asked = match meaning {
            Meaning::NotDispatched(wait) => wait,
            _ => None,
        };
        let wait = asked.unwrap_or(backoff).clamp(backoff / 2, WAIT_MAX);
        self.failures += 1;
        self.unsent = 0;
        self.is_foreign = meaning == Meaning::Foreign;
        self.standing = Standing::Ejected(Instant::now() + wait + jitter(wait / 2));
    }
}

impl Probe {
    /// Makes the call, and admits the replica again if it is answered.
    ///
    /// # Errors
    ///
    /// What the replica said, or that it said nothing: it stays ejected.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let answered = time::timeout(PROBE_TIMEOUT, self.call()).await;
        let answered = answered.unwrap_or_else(|_| Err(Failure::silent(PROBE_TIMEOUT)));
        let mut health = self.endpoint.health();
        match &answered {
            Ok(()) => health.standing = Standing::Admitted,
            Err(failure) => health.eject(failure.meaning),
        }
        drop(health);
        answered
    }

    async fn call(&self) -> Result<(), Failure> {
        let mut service = self.endpoint.service();
        let response = service.fetch_batch(FetchBatchRequest::default());
        let mut messages = response.await.map_err(Failure::unopened)?.into_inner();
        let cut = |status| Failure::cut(status, true);
        while messages.message().await.map_err(cut)?.is_some() {}
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let mut health = self.endpoint.health();
        if health.standing == Standing::Probed {
            health.standing = Standing::Ejected(Instant::now());
        }
        drop(health);
        self.ended.notify_waiters();
    }
}

/// Up to `most`, so that not all callers come back at once.
fn jitter(most: Duration) -> Duration {
    let random = RandomState::new().hash_one(());
    let share = u32::try_from(random >> 32).unwrap_or(u32::MAX);
    most.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use tonic::transport::Endpoint as Transport;

    use super::*;

    const LOST: Meaning = Meaning::Lost;

    fn probe(endpoint: &Arc<Endpoint>) -> Option<Probe> {
        endpoint.probe(Instant::now(), &Arc::default())
    }

    fn endpoint() -> Arc<Endpoint> {
        let channel = Transport::from_static("http://127.0.0.1:1").connect_lazy();
        Arc::new(Endpoint::new("127.0.0.1:1".to_owned(), 0, channel))
    }

    #[tokio::test(start_paused = true)]
    async fn an_ejected_replica_is_probed_after_a_bounded_wait() {
        let endpoint = endpoint();
        endpoint.failed(Meaning::NotDispatched(Some(Duration::MAX)));
        // A failure meanwhile is part of the same.
        endpoint.failed(LOST);
        endpoint.works();
        assert!(!endpoint.is_admitted() && probe(&endpoint).is_none());
        time::advance(2 * WAIT_MAX).await;
        let first = probe(&endpoint).unwrap();
        assert!(probe(&endpoint).is_none(), "one at a time");
        drop(first);
        // Nobody is there, so it stays ejected.
        let first = probe(&endpoint).unwrap();
        assert!(first.run().await.is_err() && !endpoint.is_admitted());
        time::advance(2 * BACKOFF_MIN).await;
        assert!(probe(&endpoint).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_grows_with_each_failure() {
        let endpoint = endpoint();
        let mut waits = Vec::new();
        endpoint.failed(LOST);
        for _ in 0..8 {
            let due = endpoint.probe_due().unwrap();
            waits.push(due - Instant::now());
            time::sleep_until(due).await;
            let first = probe(&endpoint).unwrap();
            assert!(first.run().await.is_err());
        }
        assert!(
            waits[0] < 2 * BACKOFF_MIN && waits[7] >= BACKOFF_MAX,
            "{waits:?}"
        );
    }

    #[tokio::test]
    async fn calls_that_never_left_the_client_eject_no_replica_at_first() {
        let endpoint = endpoint();
        for _ in 0..MAX_UNSENT {
            endpoint.failed(Meaning::Unsent);
            assert!(endpoint.is_admitted());
        }
        endpoint.failed(Meaning::Unsent);
        assert!(!endpoint.is_admitted());
    }
}
