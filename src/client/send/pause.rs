//! Pauses the intake of new requests.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::{Notify, futures::Notified};

/// A flag that pauses the intake while too many results are waiting for the caller.
/// Whoever consumes the results sets it, and the request sender checks it.
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

    /// Pauses or resumes the intake.
    pub(crate) fn set(&self, is_set: bool) {
        if self.is_set.swap(is_set, Ordering::Relaxed) != is_set {
            self.changed.notify_one();
        }
    }

    /// Waits until the flag changes. Cancel-safe. If nobody's waiting when it changes,
    /// the next caller is notified right away.
    pub(super) fn changed(&self) -> Notified<'_> {
        self.changed.notified()
    }
}
