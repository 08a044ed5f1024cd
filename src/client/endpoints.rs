//! The replicas of a service: which there are, which answer, and which each host
//! prefers.

use std::{
    collections::HashSet,
    hash::{BuildHasher, DefaultHasher, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use http::{Uri, uri::Authority};
use tokio::{
    net,
    time::{self, Instant},
};
use tonic::transport::{Channel, Endpoint as Transport};

use super::{Error, settings};
use crate::proto::fetch_service_client::FetchServiceClient;

/// The replicas, as far as they are known.
#[derive(Debug)]
pub(super) struct Endpoints {
    urls: Vec<Uri>,
    all: Mutex<Vec<Arc<Endpoint>>>,
    /// When the names were looked up last.
    looked_up: Mutex<Instant>,
}

/// One replica.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// What tells it from the others.
    name: String,
    /// Which of the URLs it was found by.
    found_by: usize,
    service: FetchServiceClient<Channel>,
    trouble: Mutex<Trouble>,
}

/// What has gone wrong with a replica lately.
#[derive(Debug, Default)]
struct Trouble {
    failures: u32,
    left_out_until: Option<Instant>,
}

/// How often names are looked up again.
const REFRESH: Duration = Duration::from_secs(5);

/// How long a replica is left out after its first failure, and at most.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
const BACKOFF_MAX: Duration = Duration::from_secs(10);

/// The longest wait that a replica may ask for.
const WAIT_MAX: Duration = Duration::from_mins(1);

/// How long a look-up may take.
const LOOKUP: Duration = Duration::from_secs(5);

impl Endpoints {
    /// The replicas at `urls`, separated by commas; a name with several
    /// addresses is as many replicas.
    pub(super) async fn of(urls: &str) -> Result<Self, Error> {
        let parsed = urls.split(',').map(str::trim).map(service_url);
        let urls: Vec<_> = parsed.collect::<Result<_, _>>()?;
        let found = join_all(urls.iter().map(replicas)).await;
        let found = found.into_iter().zip(0..);
        let found = found.flat_map(|(found, by)| {
            let found = found.into_iter().flatten();
            found.map(move |(name, transport)| (name, transport, by))
        });
        // One that does not answer is left out from the first.
        let connected = join_all(found.map(|(name, transport, by)| async move {
            let transport = settings(transport);
            match transport.connect().await {
                Ok(channel) => (Endpoint::new(name, by, channel), None),
                Err(error) => {
                    let endpoint = Endpoint::new(name, by, transport.connect_lazy());
                    endpoint.failed(None);
                    (endpoint, Some(Error::transport(&error)))
                }
            }
        }));
        let (all, failures): (Vec<_>, Vec<_>) = connected.await.into_iter().unzip();
        if failures.iter().all(Option::is_some) {
            let error = failures.into_iter().flatten().next();
            return Err(error.unwrap_or_else(|| unreachable("the service has no address")));
        }
        Ok(Self {
            urls,
            all: Mutex::new(all.into_iter().map(Arc::new).collect()),
            looked_up: Mutex::new(Instant::now()),
        })
    }

    /// The one replica behind `channel`.
    pub(super) fn only(channel: Channel) -> Self {
        let endpoint = Endpoint::new("only".to_owned(), 0, channel);
        Self {
            urls: Vec::new(),
            all: Mutex::new(vec![Arc::new(endpoint)]),
            looked_up: Mutex::new(Instant::now()),
        }
    }

    /// When the names are to be looked up again. `None`: there are none.
    pub(super) fn refresh_due(&self) -> Option<Instant> {
        let looked_up = self.looked_up.lock();
        let looked_up = looked_up.unwrap_or_else(PoisonError::into_inner);
        (!self.urls.is_empty()).then(|| *looked_up + REFRESH)
    }

    /// All replicas.
    pub(super) fn known(&self) -> Vec<Arc<Endpoint>> {
        self.all().clone()
    }

    /// How many are known.
    pub(super) fn count(&self) -> usize {
        self.all().len()
    }

    /// Those that are not left out; where all are, when the first is back.
    pub(super) fn available(&self) -> Result<Vec<Arc<Endpoint>>, Instant> {
        let all = self.all();
        let now = Instant::now();
        let mut back = now + BACKOFF_MAX;
        let mut available = Vec::with_capacity(all.len());
        for endpoint in all.iter() {
            match endpoint.trouble().left_out_until {
                Some(until) if until > now => back = back.min(until),
                _ => available.push(Arc::clone(endpoint)),
            }
        }
        if available.is_empty() {
            Err(back)
        } else {
            Ok(available)
        }
    }

    /// Looks the names up again, where that is due: what is new is used, what is
    /// gone is not. A look-up that fails changes nothing of what it found before.
    pub(super) async fn refresh(&self) {
        if self.refresh_due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        *self
            .looked_up
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Instant::now();
        let found = join_all(self.urls.iter().map(replicas)).await;
        let mut all = self.all();
        all.retain(|endpoint| match found.get(endpoint.found_by) {
            Some(Some(found)) => found.iter().any(|(name, _)| *name == endpoint.name),
            _ => true,
        });
        for (found, by) in found.into_iter().zip(0..) {
            for (name, transport) in found.into_iter().flatten() {
                if !all.iter().any(|endpoint| endpoint.name == name) {
                    let channel = settings(transport).connect_lazy();
                    all.push(Arc::new(Endpoint::new(name, by, channel)));
                }
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Endpoint>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Endpoint {
    fn new(name: String, found_by: usize, channel: Channel) -> Self {
        Self {
            name,
            found_by,
            service: FetchServiceClient::new(channel),
            trouble: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn service(&self) -> FetchServiceClient<Channel> {
        self.service.clone()
    }

    /// Whether it is left out at the moment.
    pub(super) fn is_left_out(&self) -> bool {
        let until = self.trouble().left_out_until;
        until.is_some_and(|until| until > Instant::now())
    }

    /// How much `host` prefers this replica: the highest is its first choice
    /// (rendezvous hashing), whatever other replicas come and go.
    pub(super) fn weight(&self, host: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        (host, &self.name).hash(&mut hasher);
        hasher.finish()
    }

    /// Leaves it out for `wait`, or a while that grows with its failures. What
    /// fails while it is left out is part of the same failure.
    pub(super) fn failed(&self, wait: Option<Duration>) {
        let mut trouble = self.trouble();
        let now = Instant::now();
        if trouble.left_out_until.is_some_and(|until| until > now) {
            return;
        }
        let doubled = BACKOFF_MIN * 2_u32.pow(trouble.failures.min(10));
        let backoff = doubled.min(BACKOFF_MAX);
        trouble.failures += 1;
        let wait = wait.unwrap_or(backoff).clamp(backoff / 2, WAIT_MAX);
        trouble.left_out_until = Some(now + wait + jitter(wait / 2));
    }

    /// It answered.
    pub(super) fn works(&self) {
        // What it asked for holds all the same.
        self.trouble().failures = 0;
    }

    fn trouble(&self) -> MutexGuard<'_, Trouble> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Up to `most`, so that not all callers come back at once.
fn jitter(most: Duration) -> Duration {
    let random = RandomState::new().hash_one(());
    let share = u32::try_from(random >> 32).unwrap_or(u32::MAX);
    most.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

fn service_url(url: &str) -> Result<Uri, Error> {
    let uri = url.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    uri.ok_or_else(|| unreachable(&format!("{url} is no URL such as http://localhost:50051")))
}

fn unreachable(message: &str) -> Error {
    Error::Call {
        code: "UNAVAILABLE",
        message: message.to_owned(),
        retryable: true,
    }
}

/// The replicas behind `url`, each with its name. `None`: the look-up failed.
async fn replicas(url: &Uri) -> Option<Vec<(String, Transport)>> {
    let host = url.host()?.trim_matches(['[', ']']);
    let port = url.port_u16().unwrap_or(80);
    let found = time::timeout(LOOKUP, net::lookup_host((host, port))).await;
    let found: HashSet<_> = found.ok()?.ok()?.collect();
    let replicas = found.into_iter().map(|address| {
        let name = Authority::try_from(address.to_string()).ok()?;
        let uri = Uri::builder().scheme("http").authority(name.clone());
        let uri = uri.path_and_query("/").build().ok()?;
        // Asked for by the name that the caller gave.
        let transport = Transport::from(uri).origin(url.clone());
        Some((name.to_string(), transport))
    });
    replicas.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_replica_is_left_out_for_a_while_and_no_longer() {
        let channel = Transport::from_static("http://127.0.0.1:1").connect_lazy();
        let endpoints = Endpoints::only(channel);
        let endpoint = endpoints.known().remove(0);
        endpoint.failed(Some(Duration::MAX));
        // What fails meanwhile is the same failure.
        endpoint.failed(Some(Duration::MAX));
        endpoint.works();
        assert!(endpoint.is_left_out() && endpoints.available().is_err());
        time::advance(2 * WAIT_MAX).await;
        assert!(!endpoint.is_left_out() && endpoints.available().is_ok());
        endpoint.failed(None);
        time::advance(2 * BACKOFF_MIN).await;
        assert!(!endpoint.is_left_out(), "its failures are forgotten");
    }
}
