//! The calls of a caller's connection.

use std::sync::{Arc, Mutex, PoisonError};

use hyper::rt::Executor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::places::Busy;
use crate::{
    caller::Caller,
    shares::{Held, Quota},
};

/// Runs the calls of one connection, each until it is cut.
#[derive(Clone)]
pub(super) struct Calls {
    running: TaskTracker,
    /// The call that is about to run.
    next: Arc<Mutex<Option<Call>>>,
    /// Room for calls other than batches: of the connection, and of the process.
    others: Arc<Semaphore>,
    all_others: Quota,
    caller: Caller,
    /// Cuts them.
    cut_others: CancellationToken,
}

/// What a call holds, and what cuts it.
struct Call {
    cut: CancellationToken,
    _busy: Option<Arc<Busy>>,
    _other: Option<(OwnedSemaphorePermit, Held)>,
}

/// The most calls at once on one connection that are no batches.
const MAX_OTHERS: usize = 16;

impl Calls {
    /// None yet, of `caller`. Those that are no batches take one each of `all_others`.
    pub(super) fn new(caller: Caller, all_others: Quota) -> Self {
        Self {
            caller,
            all_others,
            running: TaskTracker::new(),
            next: Arc::default(),
            others: Arc::new(Semaphore::new(MAX_OTHERS)),
            cut_others: CancellationToken::new(),
        }
    }

    /// The call that runs next is a batch, and ends when what is returned is
    /// cancelled.
    pub(super) fn batch_next(&self, busy: Arc<Busy>) -> CancellationToken {
        let cut = CancellationToken::new();
        self.set_next(Call {
            cut: cut.clone(),
            _busy: Some(busy),
            _other: None,
        });
        cut
    }

    /// The call that runs next is another one. False: there are too many of them.
    pub(super) fn other_next(&self) -> bool {
        let permit = Arc::clone(&self.others).try_acquire_owned().ok();
        let other = permit.zip(self.all_others.take(self.caller, 1));
        let is_accepted = other.is_some();
        self.set_next(Call {
            cut: self.cut_others.clone(),
            _busy: None,
            _other: other,
        });
        is_accepted
    }

    /// Cuts all calls that are no batches.
    pub(super) fn cut_others(&self) {
        self.cut_others.cancel();
    }

    fn set_next(&self, call: Call) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = Some(call);
    }
}

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    /// hyper hands over each call right after it was made.
    fn execute(&self, call: F) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let held = next.take();
        self.running.spawn(async move {
            match &held {
                Some(held) => drop(held.cut.run_until_cancelled(call).await),
                None => call.await,
            }
        });
    }
}
