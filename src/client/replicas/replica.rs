//! One replica of a service.

use parking_lot::Mutex;
use tokio::time::Instant;
use tonic::transport::Channel;

use super::health::Health;
use crate::{client::failure::Disposition, proto::fetch_service_client::FetchServiceClient};

/// One replica of a service.
#[derive(Debug)]
pub(crate) struct Replica {
    /// The address. Tells the replica from the others.
    name: String,
    /// The position of the URL that led to the replica.
    pub(super) url_index: usize,
    service: FetchServiceClient<Channel>,
    pub(super) health: Mutex<Health>,
}

impl Replica {
    pub(super) fn new(name: String, url_index: usize, channel: Channel) -> Self {
        Self {
            name,
            url_index,
            service: FetchServiceClient::new(channel),
            health: Mutex::default(),
        }
    }

    /// Returns the address.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns a client for calls to the replica.
    pub(crate) fn service(&self) -> FetchServiceClient<Channel> {
        self.service.clone()
    }

    /// Returns true if the replica may get requests.
    pub(crate) fn is_admitted(&self) -> bool {
        self.health.lock().is_admitted()
    }

    /// Records that the replica returned a result.
    pub(crate) fn record_success(&self) {
        self.health.lock().record_success();
    }

    /// Records a failed call, and ejects the replica if it is to blame.
    pub(crate) fn record_failure(&self, disposition: Disposition) {
        self.health.lock().record_failure(disposition);
    }

    /// Returns true if nothing has failed since the last result.
    pub(super) fn is_proven(&self) -> bool {
        self.health.lock().is_proven()
    }

    /// Returns true if the peer is not a fetchd service or does not accept this client.
    pub(super) fn is_foreign(&self) -> bool {
        self.health.lock().is_foreign()
    }

    /// Returns the time of the next probe if the replica is ejected.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        self.health.lock().probe_due()
    }
}
