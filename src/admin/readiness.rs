//! Whether a server accepts batches, and what `/readyz` says about it.

use std::sync::Arc;

use http::StatusCode;
use parking_lot::Mutex;

/// The stage a server is in. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Readiness(Arc<Mutex<Stage>>);

/// From start to shutdown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Stage {
    /// The server doesn't accept connections yet.
    #[default]
    Starting,
    Serving,
    /// A shutdown was requested, but we still accept batches until the drain delay is
    /// over.
    DrainDelay,
    Draining,
}

impl Readiness {
    pub(crate) fn enter(&self, stage: Stage) {
        *self.0.lock() = stage;
    }

    /// Returns the status and the text for `/readyz`.
    pub(super) fn answer(&self) -> (StatusCode, &'static str) {
        let stage = *self.0.lock();
        let status = match stage {
            Stage::Serving => StatusCode::OK,
            Stage::Starting | Stage::DrainDelay | Stage::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (status, stage.text())
    }
}

impl Stage {
    fn text(self) -> &'static str {
        match self {
            Self::Starting => "starting: the server does not accept batches yet\n",
            Self::Serving => "ready\n",
            Self::DrainDelay => "shutting down: the server still accepts batches for now\n",
            Self::Draining => "draining: the server takes no new batches\n",
        }
    }
}
