//! A limit on the sockets to origins, which leaves file descriptors for callers.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

/// A limit on the number of open sockets. Cheap to clone; all clones share one count.
#[derive(Clone)]
pub(crate) struct SocketLimit(Arc<Semaphore>);

/// A permit for one connection, or for one connection attempt.
pub(super) struct SocketPermit(OwnedSemaphorePermit);

/// The number of sockets that one attempt may open at the same time, to dial several
/// addresses or to query name servers.
const SOCKETS_PER_ATTEMPT: u32 = 4;

/// How long to wait for a permit. Attempts release most of their sockets soon, so a
/// short wait is enough if many start at the same time.
const ACQUIRE_TIMEOUT: Duration = Duration::from_millis(500);

impl SocketLimit {
    /// Allows `max` sockets, or any number if it is `None`.
    pub(crate) fn new(max: Option<usize>) -> Self {
        let permits = max.unwrap_or(Semaphore::MAX_PERMITS);

        Self(Arc::new(Semaphore::new(
            permits.max(SOCKETS_PER_ATTEMPT as usize),
        )))
    }

    /// Returns true if another connection attempt would have to wait.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.0.available_permits() < SOCKETS_PER_ATTEMPT as usize
    }

    /// Waits for a permit for one connection attempt. Returns `None` if there is none
    /// within [`ACQUIRE_TIMEOUT`]. Cancel-safe.
    pub(super) async fn acquire(&self) -> Option<SocketPermit> {
        let acquiring = Arc::clone(&self.0).acquire_many_owned(SOCKETS_PER_ATTEMPT);
        let permit = time::timeout(ACQUIRE_TIMEOUT, acquiring).await.ok()?;
        permit.ok().map(SocketPermit)
    }
}

impl SocketPermit {
    /// Keeps the permit of one connection and releases the others of the attempt.
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
