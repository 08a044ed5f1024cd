//! A single replica.

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{Service, health::Health};
use crate::client::failure::Disposition;

/// One replica of a service.
#[derive(Debug)]
pub(crate) struct Replica {
    /// The address. We also use it to tell replicas apart.
    name: String,
    /// Index of the URL we found this replica through.
    pub(super) url_index: usize,
    service: Service,
    pub(super) health: Mutex<Health>,
}

impl Replica {
    pub(super) fn new(name: String, url_index: usize, service: Service) -> Self {
        Self {
            name,
            url_index,
            service,
            health: Mutex::default(),
        }
    }

    /// Returns the replica's address.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns a gRPC client to call the replica with.
    pub(crate) fn service(&self) -> Service {
        self.service.clone()
    }

    pub(crate) fn is_admitted(&self) -> bool {
        self.health.lock().is_admitted()
    }

    /// Records that we got a result from the replica.
    pub(crate) fn record_success(&self) {
        self.health.lock().record_success();
    }

    /// Records a failed call. Ejects the replica if it's to blame.
    pub(crate) fn record_failure(&self, disposition: Disposition) {
        self.health.lock().record_failure(disposition);
    }

    /// Returns true if the replica hasn't failed since its last result.
    pub(super) fn is_proven(&self) -> bool {
        self.health.lock().is_proven()
    }

    /// Returns true if the peer isn't a fetchd service or doesn't accept us.
    pub(super) fn is_foreign(&self) -> bool {
        self.health.lock().is_foreign()
    }

    /// If the replica is ejected, returns when to probe it.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        self.health.lock().probe_due()
    }
}
