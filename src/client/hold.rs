//! Stops new requests while results are held that nobody can take yet.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, futures::Notified};

/// Whether new requests wait. Told by those who hold results, and asked by those
/// who send requests.
#[derive(Debug, Default)]
pub(super) struct Hold {
    is_on: AtomicBool,
    changed: Notify,
}

impl Hold {
    /// Whether new requests wait.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Lets new requests wait, or go on.
    pub(super) fn set(&self, is_on: bool) {
        if self.is_on.swap(is_on, Ordering::Relaxed) != is_on {
            self.changed.notify_one();
        }
    }

    /// Waits for a change. Cancel-safe: one that nobody waited for is not lost.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
