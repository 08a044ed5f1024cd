//! What a request and its connector tell each other.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::Duration,
};

tokio::task_local! {
    static DIAL: Dial;
}

/// The connecting of one request. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dial(Arc<Inner>);

struct Inner {
    timeout: Duration,
    stage: AtomicU8,
}

/// How far connecting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    Dns,
    Proxy,
    Tcp,
    Tls,
}

impl Dial {
    /// A dial that may take `timeout`.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            timeout,
            stage: AtomicU8::new(Stage::Dns as u8),
        }))
    }

    /// Runs `request` with this dial as the [`Dial::current`] of its task.
    pub(crate) fn scope<F: Future>(&self, request: F) -> impl Future<Output = F::Output> + use<F> {
        DIAL.scope(self.clone(), request)
    }

    /// The dial of the request that the running task sends.
    pub(super) fn current() -> Self {
        DIAL.with(Clone::clone)
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Release);
    }

    /// How far connecting has come.
    pub(crate) fn stage(&self) -> Stage {
        match self.0.stage.load(Ordering::Acquire) {
            0 => Stage::Dns,
            1 => Stage::Proxy,
            2 => Stage::Tcp,
            _ => Stage::Tls,
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.0.timeout
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "in DNS",
            Self::Proxy => "at the proxy",
            Self::Tcp => "in TCP",
            Self::Tls => "in TLS",
        })
    }
}
