//! Runs a connection's calls.

use std::sync::Arc;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::{backlog::Backlog, registry::OpenBatch};
use crate::{
    caller::Caller,
    shares::{Quota, Reservation},
};

/// The executor we give to hyper to run a connection's calls. If a caller doesn't read,
/// hyper stops polling the call's stream, and then this is the only way to end the call.
#[derive(Clone)]
pub(super) struct CallExecutor {
    /// The guard for the call that hyper is about to spawn.
    next: Arc<Mutex<Option<CallGuard>>>,
    caller: Caller,
    /// Limits auxiliary calls on this connection. `quota` limits them for the whole
    /// process.
    permits: Arc<Semaphore>,
    quota: Quota,
    cut_auxiliary: CancellationToken,
    backlog: Backlog,
}

/// Holds a running call's permits, and the token that cuts the call.
struct CallGuard {
    cut: CancellationToken,
    _batch: Option<Arc<OpenBatch>>,
    _auxiliary: Option<(OwnedSemaphorePermit, Reservation)>,
}

/// The maximum number of concurrent auxiliary calls on a connection. Any more are
/// rejected.
const MAX_AUX_CALLS: usize = 16;

impl CallExecutor {
    /// Creates the executor for a connection of `caller`. Auxiliary calls are reserved
    /// from `quota`, and all calls are counted in `backlog`.
    pub(super) fn new(caller: Caller, quota: Quota, backlog: Backlog) -> Self {
        Self {
            next: Arc::default(),
            caller,
            permits: Arc::new(Semaphore::new(MAX_AUX_CALLS)),
            quota,
            cut_auxiliary: CancellationToken::new(),
            backlog,
        }
    }

    /// Registers the next call as a batch. Cancel the returned token to cut the call.
    pub(super) fn next_is_batch(&self, batch: Arc<OpenBatch>) -> CancellationToken {
        let cut = CancellationToken::new();
        self.set_next(CallGuard {
            cut: cut.clone(),
            _batch: Some(batch),
            _auxiliary: None,
        });
        cut
    }

    /// Registers the next call as an auxiliary call. Returns false if there are already
    /// too many of these.
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
    /// Spawns a call. hyper does this right after the service function returns, so the
    /// guard registered last is the right one.
    fn execute(&self, call: F) {
        let guard = self.next.lock().take();
        let entry = self.backlog.enter();
        tokio::spawn(async move {
            match &guard {
                Some(guard) => drop(guard.cut.run_until_cancelled(call).await),
                None => call.await,
            }
            drop(entry);
        });
    }
}
