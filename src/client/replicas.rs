//! The replicas of a service.
//!
//! - [`Replicas`] is the whole set. A `target` is one of its URLs. `lookup` looks up their
//!   names again every 5 s, or every second while a replica is ejected.
//! - [`Replica`] is a single one, and `service` is how we call it. `health` decides if it is
//!   admitted or ejected (and for how long), and `probe` checks if an ejected replica has recovered.
//! - `choice` picks a replica for a request.
//! - [`Monitor`] runs all of this while we're working on a list or a single request. If
//!   no replica answers for too long (see `outage`), it makes us give up.

mod choice;
mod health;
mod lookup;
mod monitor;
mod outage;
mod probe;
mod replica;
mod service;
mod target;

use std::{
    collections::{BTreeMap, HashSet},
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    task,
    time::{self, Instant},
};
use tonic::transport::Channel;

use super::{
    Builder, Error,
    defaults::Defaults,
    failure::{Disposition, Failure},
};
pub use choice::weight;
pub(super) use choice::{candidates, preferred};
use lookup::{Lookup, look_up};
pub(super) use monitor::Monitor;
pub use outage::Outage;
pub(super) use outage::SharedOutage;
use probe::Probe;
pub(super) use replica::Replica;
pub(super) use service::Service;
use target::Target;

/// All replicas that we know of.
#[derive(Debug)]
pub(super) struct Replicas {
    builder: Builder,
    all: Mutex<Vec<Arc<Replica>>>,
    lookup: Lookup,
    /// Notified whenever a probe ends.
    probe_ended: watch::Sender<()>,
    /// The last failure of any call or probe.
    last_failure: Mutex<Option<Failure>>,
}

/// Look up the names again after this time.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// Same as [`REFRESH_INTERVAL`], but used while a replica is ejected. In a rollout, that's
/// usually because it's gone, and the name has the address of another one by then.
const REFRESH_INTERVAL_EJECTED: Duration = Duration::from_secs(1);

impl Replicas {
    /// Looks up the names in `urls` (separated by commas) and connects to every address
    /// we find. Each address counts as one replica.
    ///
    /// # Errors
    ///
    /// Fails if a URL isn't valid, or if we can't reach any replica.
    pub(super) async fn connect(urls: &str, builder: Builder) -> Result<Self, Error> {
        let urls = urls.split(',').map(str::trim);
        let targets = urls.map(|url| Target::parse(url, &builder));
        let targets: Vec<_> = targets.collect::<Result<_, _>>()?;
        let has_tls = targets.iter().any(Target::has_tls);
        builder.check_tls_is_used(has_tls)?;
        if has_tls {
            check_tls(&builder).await?;
        }
        let found = look_up(targets.clone()).await;
        let mut connecting = Vec::new();
        for (url_index, (target, addresses)) in targets.iter().zip(found).enumerate() {
            for address in addresses.into_iter().flatten() {
                connecting.push(connect(target, address, url_index, &builder));
            }
        }
        let (all, errors): (Vec<_>, Vec<_>) = join_all(connecting).await.into_iter().unzip();
        if errors.iter().all(Option::is_some) {
            return Err(unreachable(&targets, errors.iter().flatten()));
        }
        Ok(Self::new(targets, builder, all))
    }

    /// Creates a set with a single replica behind `channel`. There's no name to look up.
    pub(super) fn only(channel: Channel, builder: Builder) -> Self {
        let service = Service::new(channel, builder.token.clone());
        let replica = Arc::new(Replica::new("in.memory".to_owned(), 0, service));
        Self::new(Vec::new(), builder, vec![replica])
    }

    fn new(targets: Vec<Target>, builder: Builder, all: Vec<Arc<Replica>>) -> Self {
        Self {
            builder,
            all: Mutex::new(all),
            lookup: Lookup::new(targets),
            probe_ended: watch::Sender::new(()),
            last_failure: Mutex::default(),
        }
    }

    pub(super) fn all(&self) -> Vec<Arc<Replica>> {
        self.all.lock().clone()
    }

    pub(super) fn count(&self) -> usize {
        self.all.lock().len()
    }

    /// Returns the replicas that may get requests.
    pub(super) fn admitted(&self) -> Vec<Arc<Replica>> {
        let all = self.all.lock();
        let admitted = all.iter().filter(|replica| replica.is_admitted());
        admitted.cloned().collect()
    }

    /// Returns true if any replica may get requests.
    fn has_admitted(&self) -> bool {
        self.all.lock().iter().any(|replica| replica.is_admitted())
    }

    /// Returns true if none of the replicas is a fetchd service that accepts us.
    pub(super) fn are_all_foreign(&self) -> bool {
        self.all.lock().iter().all(|replica| replica.is_foreign())
    }

    /// What the client adds to its requests.
    pub(super) fn defaults(&self) -> &Defaults {
        &self.builder.defaults
    }

    /// How long a replica may stay silent on a call.
    pub(super) fn silence_timeout(&self) -> Duration {
        self.builder.silence_timeout
    }

    /// Looks up the names again, if it's time for that. We add replicas that are new and
    /// remove those that are gone. If a look-up fails, we keep its replicas as they are.
    /// Cancel-safe.
    async fn refresh(&self) {
        if self.refresh_due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        let Some(found) = self.lookup.run().await else {
            return;
        };
        let found: Vec<_> = found.into_iter().map(by_name).collect();
        let mut all = self.all.lock();
        all.retain(|replica| match found.get(replica.url_index) {
            Some(Some(addresses)) => addresses.contains_key(replica.name()),
            _ => true,
        });
        let mut known: HashSet<_> = all
            .iter()
            .map(|replica| replica.name().to_owned())
            .collect();
        for (url_index, (target, addresses)) in self.lookup.targets().iter().zip(found).enumerate()
        {
            for (name, address) in addresses.into_iter().flatten() {
                if known.insert(name.clone()) {
                    let channel = target.channel(address, &self.builder);
                    let service = Service::new(channel, self.builder.token.clone());
                    all.push(Arc::new(Replica::new(name, url_index, service)));
                }
            }
        }
    }

    /// When to look up the names next. `None` if there aren't any.
    fn refresh_due(&self) -> Option<Instant> {
        let is_any_ejected = self.all.lock().iter().any(|replica| !replica.is_admitted());
        self.lookup.due(if is_any_ejected {
            REFRESH_INTERVAL_EJECTED
        } else {
            REFRESH_INTERVAL
        })
    }

    /// Starts all probes that are due and returns them.
    fn due_probes(&self) -> Vec<Probe> {
        let now = Instant::now();
        let all = self.all.lock();
        let due = all
            .iter()
            .filter_map(|replica| Probe::of(replica, now, &self.probe_ended));
        due.collect()
    }

    /// When the next probe is due.
    fn probe_due(&self) -> Option<Instant> {
        let all = self.all.lock();
        all.iter().filter_map(|replica| replica.probe_due()).min()
    }

    /// Lists the first few replica addresses, for error messages.
    fn names(&self) -> String {
        let all = self.all.lock();
        first_few(all.iter().map(|replica| replica.name()), ", ")
    }
}

/// Returns the addresses of a look-up by the names of their replicas.
fn by_name(addresses: Option<HashSet<SocketAddr>>) -> Option<BTreeMap<String, SocketAddr>> {
    let named = |address: SocketAddr| (address.to_string(), address);
    addresses.map(|addresses| addresses.into_iter().map(named).collect())
}

/// Connects to the replica at `address`. If we can't reach it, we return the error, but
/// we also return the replica, which simply starts out ejected.
async fn connect(
    target: &Target,
    address: SocketAddr,
    url_index: usize,
    builder: &Builder,
) -> (Arc<Replica>, Option<Error>) {
    let (channel, error) = match target.connect(address, builder).await {
        Ok(channel) => (channel, None),
        Err(error) => (target.channel(address, builder), Some(error)),
    };
    let service = Service::new(channel, builder.token.clone());
    let replica = Replica::new(address.to_string(), url_index, service);
    let error = error.map(|error| {
        replica.record_failure(Disposition::NotDispatched { retry_after: None });
        Error::from_transport(&error).at(replica.name())
    });
    (Arc::new(replica), error)
}

/// Fails if a TLS setting can't be used. When we connect, that's too late: a file may be about
/// to be replaced, so we'd try again.
async fn check_tls(builder: &Builder) -> Result<(), Error> {
    let tls = builder.tls.clone();
    let checked = task::spawn_blocking(move || tls.check()).await;
    Ok(checked.map_err(|error| Error::service_lost(error.to_string()))??)
}

/// The error if we can't reach any replica. There may be none, because none of the names has
/// an address.
fn unreachable<'a>(targets: &[Target], errors: impl Iterator<Item = &'a Error>) -> Error {
    let mut causes: Vec<_> = errors.map(Error::cause).collect();
    if causes.is_empty() {
        let hosts: Vec<_> = targets.iter().map(Target::host).collect();
        return Error::service_lost(format!("no address found for {}", hosts.join(", ")));
    }
    causes.sort();
    Error::service_lost(first_few(causes.iter().map(String::as_str), "; "))
}

/// Joins the first few items, and tells how many more there are.
fn first_few<'a>(items: impl ExactSizeIterator<Item = &'a str>, separator: &str) -> String {
    const MAX: usize = 8;

    let more = items.len().saturating_sub(MAX);
    let first = items.take(MAX).collect::<Vec<_>>().join(separator);
    match more {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

/// Waits until `due`, or forever if it's `None`.
pub(super) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
