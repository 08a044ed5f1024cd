//! A flag that pauses the intake of new requests.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, futures::Notified};

/// Pauses the intake of new requests while too many results wait for the caller. Set
/// by the consumer of results, and read by the sender of requests.
#[derive(Debug, Default)]
pub(crate) struct PauseFlag {
    is_set: AtomicBool,
    changed: Notify,
}

impl PauseFlag {
    /// Returns true if the intake is paused.
    pub(super) fn is_set(&self) -> bool {
        self.is_set.load(Ordering::Relaxed)
    }

    /// Pauses the intake, or lets it continue.
    pub(crate) fn set(&self, is_set: bool) {
        if self.is_set.swap(is_set, Ordering::Relaxed) != is_set {
            self.changed.notify_one();
        }
    }

    /// Waits for a change. Cancel-safe; a change without a waiter is kept for the next.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
