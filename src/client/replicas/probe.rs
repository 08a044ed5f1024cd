//! Probes ejected replicas.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{self, Instant},
};

use super::Replica;
use crate::{client::failure::Failure, proto::FetchBatchRequest};

/// Sends an empty batch to an ejected replica, to see if it has recovered. If a probe is
/// dropped before it ends, another one may start at once.
pub(super) struct Probe {
    replica: Arc<Replica>,
    /// Notified when the probe ends or is dropped.
    ended: watch::Sender<()>,
}

/// Time limit for the empty batch.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Probe {
    /// Starts a probe of `replica`, if one is due by `now`.
    pub(super) fn of(
        replica: &Arc<Replica>,
        now: Instant,
        ended: &watch::Sender<()>,
    ) -> Option<Self> {
        let has_started = replica.health.lock().start_probe(now);
        has_started.then(|| Self {
            replica: Arc::clone(replica),
            ended: ended.clone(),
        })
    }

    /// Sends the batch. If the replica answers, we admit it. Otherwise we eject it
    /// again.
    pub(super) async fn run(self) -> Result<(), Failure> {
        let name = self.replica.name();
        let result = time::timeout(TIMEOUT, self.call())
            .await
            .unwrap_or_else(|_| Err(Failure::silent(TIMEOUT)));
        let failure = result.as_ref().err().map(|failure| failure.disposition);
        self.replica.health.lock().end_probe(failure);
        result.map_err(|failure| failure.at(name))
    }

    async fn call(&self) -> Result<(), Failure> {
        let mut service = self.replica.service();
        let mut messages = service.fetch_batch(FetchBatchRequest::default()).await?;
        let interrupted = |status| Failure::interrupted(&status, true);
        while messages.message().await.map_err(interrupted)?.is_some() {}
        Ok(())
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.replica.health.lock().abandon_probe();
        self.ended.send_replace(());
    }
}
