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

use tokio::sync::Notify;

tokio::task_local! {
    static DIAL: Dial;
}

/// The connecting of one request. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Dial(Arc<Inner>);

struct Inner {
    timeout: Duration,
    stage: AtomicU8,
    settled: Notify,
}

/// How far connecting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Stage {
    /// No dial is under way: none was needed, or it is over.
    Settled,
    Dns,
    Tcp,
    Tls,
}

impl Dial {
    /// A dial that may take `timeout`.
    pub(crate) fn new(timeout: Duration) -> Self {
        Self(Arc::new(Inner {
            timeout,
            stage: AtomicU8::new(Stage::Settled as u8),
            settled: Notify::new(),
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

    /// Waits until no dial is under way. At once, where none was begun: ask
    /// only after the request was polled. Cancel-safe.
    pub(crate) async fn settled(&self) {
        loop {
            let settled = self.0.settled.notified();
            if self.stage() == Stage::Settled {
                return;
            }
            settled.await;
        }
    }

    /// Notes that a dial is under way.
    pub(super) fn begin(&self) {
        self.enter(Stage::Dns);
    }

    pub(super) fn enter(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Release);
    }

    pub(super) fn settle(&self) {
        self.enter(Stage::Settled);
        self.0.settled.notify_waiters();
    }

    /// How far connecting has come.
    pub(crate) fn stage(&self) -> Stage {
        match self.0.stage.load(Ordering::Acquire) {
            1 => Stage::Dns,
            2 => Stage::Tcp,
            3 => Stage::Tls,
            _ => Stage::Settled,
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.0.timeout
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settled => "after connecting",
            Self::Dns => "in DNS",
            Self::Tcp => "in TCP",
            Self::Tls => "in TLS",
        })
    }
}
