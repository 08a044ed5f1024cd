//! Runs the calls of one connection.

use std::sync::Arc;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::registry::OpenBatch;
use crate::{
    caller::Caller,
    shares::{Quota, Reservation},
};

/// The executor that hyper runs the calls of one connection with. It can cut a call
/// whose stream hyper no longer polls, because its caller does not read.
#[derive(Clone)]
pub(super) struct CallExecutor {
    /// The call that hyper is about to run.
    next: Arc<Mutex<Option<CallGuard>>>,
    caller: Caller,
    /// Permits for auxiliary calls: those of this connection, and of the process.
    permits: Arc<Semaphore>,
    quota: Quota,
    cut_auxiliary: CancellationToken,
}

/// The permits of a running call, and the token that cuts it.
struct CallGuard {
    cut: CancellationToken,
    _batch: Option<Arc<OpenBatch>>,
    _auxiliary: Option<(OwnedSemaphorePermit, Reservation)>,
}

/// The most auxiliary calls at once on one connection.
const MAX_AUX_CALLS: usize = 16;

impl CallExecutor {
    /// Returns an executor for a connection of `caller`, whose auxiliary calls reserve
    /// from `quota`.
    pub(super) fn new(caller: Caller, quota: Quota) -> Self {
        Self {
            next: Arc::default(),
            caller,
            permits: Arc::new(Semaphore::new(MAX_AUX_CALLS)),
            quota,
            cut_auxiliary: CancellationToken::new(),
        }
    }

    /// Announces that the next call is a batch. Cancelling the returned token cuts it.
    pub(super) fn next_is_batch(&self, batch: Arc<OpenBatch>) -> CancellationToken {
        let cut = CancellationToken::new();
        self.set_next(CallGuard {
            cut: cut.clone(),
            _batch: Some(batch),
            _auxiliary: None,
        });
        cut
    }

    /// Announces that the next call is an auxiliary call. Returns false if there are too
    /// many of them.
    pub(super) fn next_is_auxiliary(&self) -> bool {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok();
        let auxiliary = permit.zip(self.quota.reserve(self.caller, 1));
        let is_accepted = auxiliary.is_some();
        self.set_next(CallGuard {
            cut: self.cut_auxiliary.clone(),
            _batch: None,
            _auxiliary: auxiliary,
        });
        is_accepted
    }

    /// Cuts all auxiliary calls.
    pub(super) fn cut_auxiliary(&self) {
        self.cut_auxiliary.cancel();
    }

    fn set_next(&self, guard: CallGuard) {
        *self.next.lock() = Some(guard);
    }
}

impl<F> Executor<F> for CallExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    /// Runs a call. hyper hands each call over right after the service was asked for it,
    /// so its guard is the one that was announced last.
    fn execute(&self, call: F) {
        let guard = self.next.lock().take();
        tokio::spawn(async move {
            match &guard {
                Some(guard) => drop(guard.cut.run_until_cancelled(call).await),
                None => call.await,
            }
        });
    }
}
