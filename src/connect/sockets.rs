//! The sockets to origins: no more than leave file descriptors for callers.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};

/// The sockets that there may be. Cheap to clone; all clones share one count.
#[derive(Clone)]
pub(crate) struct Sockets(Arc<Semaphore>);

/// The room for one connection, or for connecting.
pub(super) struct Socket(OwnedSemaphorePermit);

/// What connecting may have open at once: dials beside one another, or look-ups.
const CONNECTING: u32 = 4;

/// How long to wait for room: many that connect at once have most of it back soon.
const PATIENCE: Duration = Duration::from_millis(500);

impl Sockets {
    /// At most `most` sockets. `None`: as many as the system allows.
    pub(crate) fn new(most: Option<usize>) -> Self {
        let most = most.unwrap_or(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(most.max(CONNECTING as usize))))
    }

    /// Returns true if there is no room to connect.
    pub(crate) fn are_used_up(&self) -> bool {
        self.0.available_permits() < CONNECTING as usize
    }

    /// The room to connect, if there is any within a short while. Cancel-safe.
    pub(super) async fn take(&self) -> Option<Socket> {
        let permit = Arc::clone(&self.0).acquire_many_owned(CONNECTING);
        let permit = time::timeout(PATIENCE, permit).await.ok()?;
        permit.ok().map(Socket)
    }
}

impl Socket {
    /// Leaves what only connecting needed to others.
    pub(super) fn connected(mut self) -> Self {
        drop(self.0.split(CONNECTING as usize - 1));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_one_socket() {
        let sockets = Sockets::new(Some(6));
        let mut connections = Vec::new();
        while let Some(socket) = sockets.take().await {
            connections.push(socket.connected());
        }
        assert_eq!(connections.len(), 3, "four are needed to connect");
        assert!(sockets.are_used_up());
        drop(connections);
        assert!(!sockets.are_used_up());
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_connect_at_once_wait_for_each_other() {
        let sockets = Sockets::new(Some(16));
        let connecting = (0..12).map(|_| async {
            let socket = sockets.take().await?;
            time::sleep(PATIENCE / 10).await;
            Some(socket.connected())
        });
        let connected = futures_util::future::join_all(connecting).await;
        assert!(connected.iter().all(Option::is_some));
    }
}
