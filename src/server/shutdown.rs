//! Requests a graceful shutdown.

use tokio_util::sync::CancellationToken;

/// Asks a [`Server`](super::Server) to shut down.
///
/// It can be cloned freely. All clones refer to the same shutdown.
///
/// If you never request a shutdown, the server runs until its future is dropped.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    hurried: CancellationToken,
}

impl Shutdown {
    /// Creates a shutdown that hasn't been requested yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the shutdown.
    ///
    /// The first call starts the drain: the server rejects new batches and gives open
    /// ones the drain timeout to finish. Call it again to cut that short. Callers still
    /// get a result for every unfinished request.
    pub fn request(&self) {
        if self.begun.is_cancelled() {
            self.hurried.cancel();
        }
        self.begun.cancel();
    }

    /// Waits for the first request to shut down. Cancel-safe.
    pub(super) async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Waits for a second request. Cancel-safe.
    pub(super) async fn hurried(&self) {
        self.hurried.cancelled().await;
    }
}
