//! The request to end a server.

use tokio_util::sync::CancellationToken;

/// Asks a [`Server`](super::Server) to shut down. Cheap to clone; all clones share one
/// state.
///
/// A shutdown that is never requested lets the server run until its future is dropped.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    hurried: CancellationToken,
}

impl Shutdown {
    /// Returns a shutdown that has not been requested.
    pub fn new() -> Self {
        Self::default()
    }

    /// Requests the shutdown. The first call begins the drain: the server rejects new
    /// batches, and open batches have the drain timeout to finish. A further call cuts
    /// that time short; unfinished requests still get an end.
    pub fn request(&self) {
        if self.begun.is_cancelled() {
            self.hurried.cancel();
        }
        self.begun.cancel();
    }

    /// Waits until the shutdown is requested. Cancel-safe.
    pub(super) async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Waits until the shutdown is requested again. Cancel-safe.
    pub(super) async fn hurried(&self) {
        self.hurried.cancelled().await;
    }
}
