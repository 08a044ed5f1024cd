//! The replicas of a service.
//!
//! - [`Replicas`] is the whole set. `lookup` resolves its names, and does so again every
//!   5 s.
//! - [`Replica`] is a single one. `health` decides if it is admitted or ejected (and for
//!   how long), and `probe` checks if an ejected replica has recovered.
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

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use http::Uri;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{self, Instant},
};
use tonic::transport::Channel;

use super::{
    Builder, Error,
    defaults::Defaults,
    failure::{Disposition, Failure},
};
pub(super) use choice::{candidates, preferred};
use lookup::{Address, parse_service_url, resolve};
pub(super) use monitor::Monitor;
pub use outage::Outage;
pub(super) use outage::SharedOutage;
use probe::Probe;
pub(super) use replica::Replica;

/// All replicas that we know of.
#[derive(Debug)]
pub(super) struct Replicas {
    urls: Vec<Uri>,
    builder: Builder,
    all: Mutex<Vec<Arc<Replica>>>,
    /// When we last looked up the names.
    looked_up: Mutex<Instant>,
    /// Notified whenever a probe ends.
    probe_ended: watch::Sender<()>,
    /// The last failure of any call or probe.
    last_failure: Mutex<Option<Failure>>,
}

/// Look up the names again after this time.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

impl Replicas {
    /// Looks up the names in `urls` (separated by commas) and connects to every address
    /// we find. Each address counts as one replica.
    ///
    /// # Errors
    ///
    /// Fails if a URL isn't valid, or if we can't reach any replica.
    pub(super) async fn connect(urls: &str, builder: Builder) -> Result<Self, Error> {
        let parsed = urls.split(',').map(str::trim).map(parse_service_url);
        let urls: Vec<_> = parsed.collect::<Result<_, _>>()?;
        let found = join_all(urls.iter().map(resolve)).await;
        let mut connecting = Vec::new();
        for (url_index, addresses) in found.into_iter().enumerate() {
            for address in addresses.into_iter().flatten() {
                connecting.push(connect(address, url_index, &builder));
            }
        }
        let (all, errors): (Vec<_>, Vec<_>) = join_all(connecting).await.into_iter().unzip();
        if errors.iter().all(Option::is_some) {
            let first = errors.into_iter().flatten().next();
            return Err(first.unwrap_or_else(|| no_address(&urls)));
        }
        Ok(Self::new(urls, builder, all))
    }

    /// Creates a set with a single replica behind `channel`. There's no name to look up.
    pub(super) fn only(channel: Channel, builder: Builder) -> Self {
        let replica = Arc::new(Replica::new("in.memory".to_owned(), 0, channel));
        Self::new(Vec::new(), builder, vec![replica])
    }

    fn new(urls: Vec<Uri>, builder: Builder, all: Vec<Arc<Replica>>) -> Self {
        Self {
            urls,
            builder,
            all: Mutex::new(all),
            looked_up: Mutex::new(Instant::now()),
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
    async fn refresh(&self) {
        if self.refresh_due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        *self.looked_up.lock() = Instant::now();
        let found = join_all(self.urls.iter().map(resolve)).await;
        let mut all = self.all.lock();
        all.retain(|replica| match found.get(replica.url_index) {
            Some(Some(addresses)) => addresses.iter().any(|found| found.name == replica.name()),
            _ => true,
        });
        for (url_index, addresses) in found.into_iter().enumerate() {
            for address in addresses.into_iter().flatten() {
                if !all.iter().any(|replica| replica.name() == address.name) {
                    let channel = self.builder.configure(address.endpoint).connect_lazy();
                    all.push(Arc::new(Replica::new(address.name, url_index, channel)));
                }
            }
        }
    }

    /// When to look up the names next. `None` if there aren't any.
    fn refresh_due(&self) -> Option<Instant> {
        let has_names = !self.urls.is_empty();
        has_names.then(|| *self.looked_up.lock() + REFRESH_INTERVAL)
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
        const MAX_NAMES: usize = 8;

        let all = self.all.lock();
        let first = all.iter().take(MAX_NAMES).map(|replica| replica.name());
        let names = first.collect::<Vec<_>>().join(", ");
        match all.len().checked_sub(MAX_NAMES) {
            None | Some(0) => names,
            Some(more) => format!("{names} and {more} more"),
        }
    }
}

/// Connects to the replica at `address`. If we can't reach it, we return the error, but
/// we also return the replica, which simply starts out ejected.
async fn connect(
    address: Address,
    url_index: usize,
    builder: &Builder,
) -> (Arc<Replica>, Option<Error>) {
    let endpoint = builder.configure(address.endpoint);
    match endpoint.connect().await {
        Ok(channel) => (
            Arc::new(Replica::new(address.name, url_index, channel)),
            None,
        ),
        Err(error) => {
            let replica = Replica::new(address.name, url_index, endpoint.connect_lazy());
            replica.record_failure(Disposition::NotDispatched { retry_after: None });
            let error = Error::from_transport(&error).at(replica.name());
            (Arc::new(replica), Some(error))
        }
    }
}

/// The error if none of the names has an address.
fn no_address(urls: &[Uri]) -> Error {
    let hosts: Vec<_> = urls.iter().filter_map(Uri::host).collect();
    Error::service_lost(format!("no address found for {}", hosts.join(", ")))
}

/// Waits until `due`, or forever if it's `None`.
pub(super) async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
