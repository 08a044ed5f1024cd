//! How a server is asked to end.

use tokio_util::sync::CancellationToken;

/// Asks a server to shut down, and asks it again to hurry. Cheap to clone; the
/// clones are one.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    begun: CancellationToken,
    hurried: CancellationToken,
}

impl Shutdown {
    /// A shutdown that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// The first call begins the shutdown: new batches are refused, and open
    /// ones go on for the drain timeout. A further call cuts that time short;
    /// unfinished requests still get their end.
    pub fn request(&self) {
        if self.begun.is_cancelled() {
            self.hurried.cancel();
        }
        self.begun.cancel();
    }

    /// Waits until the shutdown begins. Cancel-safe.
    pub(super) async fn begun(&self) {
        self.begun.cancelled().await;
    }

    /// Waits until it is to hurry. Cancel-safe.
    pub(super) async fn hurried(&self) {
        self.hurried.cancelled().await;
    }
}
