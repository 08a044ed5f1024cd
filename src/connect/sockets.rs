//! Limits the number of sockets to origins, so that there are enough file descriptors
//! left for callers.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

/// A limit on the number of open sockets. Cheap to clone. All clones share one count.
#[derive(Clone)]
pub(crate) struct SocketLimit(Arc<Semaphore>);

/// A permit for one connection, or for one attempt to connect.
pub(super) struct SocketPermit(OwnedSemaphorePermit);

/// The number of sockets a single attempt may have open at once. It needs several of them
/// for dialing more than one address and for querying name servers.
const SOCKETS_PER_ATTEMPT: u32 = 4;

/// How long to wait for a permit. If lots of attempts start at the same time, then most
/// of their sockets are released again quickly, so we don't need to wait any longer than
/// this.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(500);

impl SocketLimit {
    /// Allows up to `max` sockets. If it's `None`, there's no limit.
    pub(crate) fn new(max: Option<usize>) -> Self {
        let permits = max.unwrap_or(Semaphore::MAX_PERMITS);

        Self(Arc::new(Semaphore::new(
            permits.max(SOCKETS_PER_ATTEMPT as usize),
        )))
    }

    /// Returns true if there aren't enough permits left to start another attempt right
    /// away.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.0.available_permits() < SOCKETS_PER_ATTEMPT as usize
    }

    /// Waits for a permit to start connecting. Returns `None` if we don't get one within
    /// [`ACQUIRE_TIMEOUT`]. Cancel-safe.
    pub(super) async fn acquire(&self) -> Option<SocketPermit> {
        let acquiring = Arc::clone(&self.0).acquire_many_owned(SOCKETS_PER_ATTEMPT);
        let permit = time::timeout(ACQUIRE_TIMEOUT, acquiring).await.ok()?;
        permit.ok().map(SocketPermit)
    }
}

impl SocketPermit {
    /// Keeps a permit for the one open connection and gives back the rest.
    pub(super) fn into_connected(mut self) -> Self {
        drop(self.0.split(SOCKETS_PER_ATTEMPT as usize - 1));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn connection_takes_one_permit_and_attempt_takes_four() {
        let sockets = SocketLimit::new(Some(6));
        let mut connections = Vec::new();
        while let Some(permit) = sockets.acquire().await {
            connections.push(permit.into_connected());
        }
        assert_eq!(connections.len(), 3);
        assert!(sockets.is_exhausted());
        drop(connections);
        assert!(!sockets.is_exhausted());
    }

    #[tokio::test(start_paused = true)]
    async fn concurrent_attempts_wait_for_each_other() {
        let sockets = SocketLimit::new(Some(16));
        let attempts = (0..12).map(|_| async {
            let permit = sockets.acquire().await?;
            time::sleep(ACQUIRE_TIMEOUT / 10).await;
            Some(permit.into_connected())
        });
        let connected = futures_util::future::join_all(attempts).await;
        assert!(connected.iter().all(Option::is_some));
    }
}
