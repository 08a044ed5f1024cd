//! Whether a server accepts batches, and what `/readyz` says about it.

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use parking_lot::Mutex;
use tokio::time::Instant;

/// The stage a server is in, and when it began. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Readiness(Arc<Mutex<(Stage, Instant)>>);

/// From start to shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The server doesn't accept connections yet.
    Starting,
    Serving,
    /// A shutdown was requested, but we still accept batches until the drain delay is
    /// over.
    DrainDelay,
    Draining,
}

impl Readiness {
    pub(crate) fn enter(&self, stage: Stage) {
        *self.0.lock() = (stage, Instant::now());
    }

    /// Returns the stage, and for how long the server has been in it.
    pub(super) fn stage(&self) -> (Stage, Duration) {
        let (stage, since) = *self.0.lock();
        (stage, since.elapsed())
    }

    /// Returns the status and the text for `/readyz`.
    pub(super) fn answer(&self) -> (StatusCode, &'static str) {
        let (stage, _) = self.stage();
        let status = match stage {
            Stage::Serving => StatusCode::OK,
            Stage::Starting | Stage::DrainDelay | Stage::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (status, stage.text())
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self(Arc::new(Mutex::new((Stage::Starting, Instant::now()))))
    }
}

impl Stage {
    /// Returns the stage's name in `/status.json`.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::DrainDelay => "drain_delay",
            Self::Draining => "draining",
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Starting => "starting: the server does not accept batches yet\n",
            Self::Serving => "ready\n",
            Self::DrainDelay => "shutting down: the server still accepts batches for now\n",
            Self::Draining => "draining: the server takes no new batches\n",
        }
    }
}
