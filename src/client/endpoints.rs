//! The replicas of a service: which there are, which answer, and which each host
//! prefers.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::FuturesUnordered,
};
use http::{Uri, uri::Authority};
use tokio::{
    net,
    sync::{Notify, futures::Notified},
    time::{self, Instant},
};
use tonic::transport::{Channel, Endpoint as Transport};

use super::{
    Builder, Error,
    endpoint::Endpoint,
    failure::{Failure, Meaning},
    outage::Outage,
};
use crate::Code;

/// The replicas, as far as they are known.
#[derive(Debug)]
pub(super) struct Endpoints {
    urls: Vec<Uri>,
    builder: Builder,
    all: Mutex<Vec<Arc<Endpoint>>>,
    /// When the names were looked up last.
    looked_up: Mutex<Instant>,
    /// Told at the end of each probe.
    changed: Arc<Notify>,
}

/// Probes under way. Dropping them leaves them to others.
pub(super) type Probing = FuturesUnordered<BoxFuture<'static, Result<(), Failure>>>;

/// How often names are looked up again.
const REFRESH: Duration = Duration::from_secs(5);

/// How long a look-up may take.
const LOOKUP: Duration = Duration::from_secs(5);

impl Endpoints {
    /// The replicas at `urls`, separated by commas; a name with several
    /// addresses is as many replicas.
    pub(super) async fn of(urls: &str, builder: Builder) -> Result<Self, Error> {
        let parsed = urls.split(',').map(str::trim).map(service_url);
        let urls: Vec<_> = parsed.collect::<Result<_, _>>()?;
        let found = join_all(urls.iter().map(replicas)).await;
        let found = found.into_iter().zip(0..);
        let found = found.flat_map(|(found, by)| {
            let found = found.into_iter().flatten();
            found.map(move |(name, transport)| (name, transport, by))
        });
        // One that does not answer is left out from the first.
        let set = &builder;
        let connected = join_all(found.map(|(name, transport, by)| async move {
            let transport = set.set(transport);
            match transport.connect().await {
                Ok(channel) => (Endpoint::new(name, by, channel), None),
                Err(error) => {
                    let endpoint = Endpoint::new(name, by, transport.connect_lazy());
                    endpoint.failed(Meaning::NotDispatched(None));
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
            builder,
            all: Mutex::new(all.into_iter().map(Arc::new).collect()),
            looked_up: Mutex::new(Instant::now()),
            changed: Arc::default(),
        })
    }

    /// The one replica behind `channel`.
    pub(super) fn only(channel: Channel, builder: Builder) -> Self {
        let endpoint = Endpoint::new("only".to_owned(), 0, channel);
        Self {
            urls: Vec::new(),
            builder,
            all: Mutex::new(vec![Arc::new(endpoint)]),
            looked_up: Mutex::new(Instant::now()),
            changed: Arc::default(),
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

    /// How long a replica may say nothing to a call.
    pub(super) fn silence_timeout(&self) -> Duration {
        self.builder.silence_timeout
    }

    /// An outage of none, as long as it may last.
    pub(super) fn outage(&self) -> Outage {
        Outage::new(self.builder.give_up_after)
    }

    /// Those that may be given requests.
    pub(super) fn admitted(&self) -> Vec<Arc<Endpoint>> {
        let all = self.all();
        let admitted = all.iter().filter(|endpoint| endpoint.is_admitted());
        admitted.cloned().collect()
    }

    /// Waits until there is one that may be given requests, and returns all of
    /// these.
    ///
    /// # Errors
    ///
    /// None was admitted for as long as an [`Outage`] may last.
    pub(super) async fn wait_for_admitted(
        &self,
        outage: &mut Outage,
    ) -> Result<Vec<Arc<Endpoint>>, Error> {
        loop {
            self.refresh().await;
            let changed = self.changed();
            let admitted = self.admitted();
            if !admitted.is_empty() {
                return Ok(admitted);
            }
            let mut probing = self.probe();
            tokio::select! {
                Some(answered) = probing.next(), if !probing.is_empty() => outage.note(answered),
                () = changed => {}
                () = until(self.probe_due()) => {}
                () = until(self.refresh_due()) => {}
                () = until(outage.end()) => return Err(outage.error(&self.names())),
            }
        }
    }

    /// The probes that are due.
    pub(super) fn probe(&self) -> Probing {
        let now = Instant::now();
        let all = self.all();
        let due = all
            .iter()
            .filter_map(|endpoint| endpoint.probe(now, &self.changed));
        due.map(|probe| probe.run().boxed()).collect()
    }

    /// When the next probe is due.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        let all = self.all();
        all.iter().filter_map(|endpoint| endpoint.probe_due()).min()
    }

    /// Waits for the end of a probe. Counts from when it is made, not from when it
    /// is polled.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }

    /// Returns true if no replica answers as this service does.
    pub(super) fn are_all_foreign(&self) -> bool {
        self.all().iter().all(|endpoint| endpoint.is_foreign())
    }

    /// The addresses of the first few, for messages.
    pub(super) fn names(&self) -> String {
        const MOST: usize = 8;

        let all = self.all();
        let first = all.iter().take(MOST).map(|endpoint| endpoint.name());
        let names = first.collect::<Vec<_>>().join(", ");
        match all.len().checked_sub(MOST) {
            None | Some(0) => names,
            Some(more) => format!("{names} and {more} more"),
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
            Some(Some(found)) => found.iter().any(|(name, _)| name == endpoint.name()),
            _ => true,
        });
        for (found, by) in found.into_iter().zip(0..) {
            for (name, transport) in found.into_iter().flatten() {
                if !all.iter().any(|endpoint| endpoint.name() == name) {
                    let channel = self.builder.set(transport).connect_lazy();
                    all.push(Arc::new(Endpoint::new(name, by, channel)));
                }
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, Vec<Arc<Endpoint>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn service_url(url: &str) -> Result<Uri, Error> {
    let uri = url.parse::<Uri>().ok();
    let uri = uri.filter(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    uri.ok_or_else(|| unreachable(&format!("{url} is no URL such as http://localhost:50051")))
}

fn unreachable(message: &str) -> Error {
    Error::Call {
        code: Code::Unavailable,
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

/// Waits until `due`, or for ever.
pub(super) async fn until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
