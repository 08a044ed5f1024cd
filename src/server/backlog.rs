//! A connection's calls that have been spawned and haven't ended.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;

/// Counts a connection's calls, so that we can stop reading from a caller that starts
/// calls faster than we get to run them.
///
/// HTTP/2's stream limit isn't enough for this, since it doesn't count calls that the
/// caller has reset. Their tasks still have to run once to notice the reset. A caller that
/// resets all of its calls could therefore queue up any number of tasks.
///
/// Clones share the same count.
#[derive(Debug, Clone, Default)]
pub(super) struct Backlog(Arc<State>);

#[derive(Debug, Default)]
struct State {
    calls: AtomicUsize,
    /// Wakes up the connection when a call has ended.
    ended: AtomicWaker,
}

/// A call that hasn't ended. Dropping it ends the call.
#[derive(Debug)]
pub(super) struct Entry(Backlog);

impl Backlog {
    /// Adds a call.
    pub(super) fn enter(&self) -> Entry {
        self.0.calls.fetch_add(1, Ordering::AcqRel);
        Entry(self.clone())
    }

    /// Waits until there are fewer than `max` calls.
    pub(super) fn poll_below(&self, max: usize, cx: &mut Context<'_>) -> Poll<()> {
        if self.calls() < max {
            return Poll::Ready(());
        }
        self.0.ended.register(cx.waker());
        // A call may have ended before we registered.
        if self.calls() < max {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Acquire)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let state = &self.0.0;
        state.calls.fetch_sub(1, Ordering::AcqRel);
        state.ended.wake();
    }
}
