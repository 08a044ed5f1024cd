//! A pool of idle connections, kept for the next request to the same origin.
//!
//! The pool is limited in total and per origin. When it's full, we evict the oldest
//! connection first. When handing out connections, we start with the newest, because it's
//! the least likely to have been closed by the origin. Before we hand one out, we ask the
//! operating system about its state. If it has ended, or if there's something to read, we
//! close it and try the next one.
//!
//! If an origin sends bytes that we didn't ask for, we quarantine it, i.e. we don't pool
//! its connections for a while. Otherwise such bytes might show up just after our check,
//! and then we couldn't tell them apart from the response to the next request.
//!
//! Some origins close each connection right after a response without announcing it. A
//! non-idempotent request that runs into this is lost, since we can't send it twice.
//! Therefore it only gets a pooled connection if the origin has proven that it keeps
//! connections alive.

mod quarantine;
mod state;
mod sweep;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Origin;
use state::State;

/// A pool of connections, grouped by origin. Cheap to clone.
pub(crate) struct Pool<C>(Arc<Shared<C>>);

pub(crate) trait Poolable: Send + 'static {
    /// Returns the connection's state while it's idle.
    fn idle_state(&mut self) -> IdleState;

    /// Returns true if the connection has carried more than one exchange so far.
    fn was_reused(&self) -> bool;
}

/// The state of an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleState {
    /// The connection is open and there's nothing to read, so it can be used.
    Open,
    /// The origin closed the connection, or it broke.
    Closed,
    /// The origin sent bytes although there was no request.
    UnexpectedData,
}

/// Pool limits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolLimits {
    /// The maximum number of connections in total. At the limit, adding a connection
    /// evicts another one.
    pub(crate) total: usize,
    /// The maximum number of connections per origin. At the limit, adding a connection
    /// evicts the origin's oldest one.
    pub(crate) per_origin: usize,
    /// How long a connection may stay idle before we close it.
    pub(crate) idle_timeout: Duration,
}

struct Shared<C> {
    limits: PoolLimits,
    state: Mutex<State<C>>,
}

/// If a connection is still open after this long, we take that as proof that its origin
/// keeps connections alive.
const PROVEN_AFTER: Duration = Duration::from_millis(50);

/// How long an origin stays in quarantine after sending unexpected bytes.
const QUARANTINE: Duration = Duration::from_mins(5);

/// If this many connections in a row turn out to be unusable, we give up and close all
/// connections to the origin. Every check is a system call, so we don't want to work
/// through hundreds of them.
const MAX_UNUSABLE: usize = 8;

impl<C: Poolable> Pool<C> {
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            state: Mutex::new(State::new()),
        }))
    }

    /// Takes the newest usable connection to `origin`.
    ///
    /// This is for idempotent requests only. If the connection breaks, the caller can
    /// simply send such a request again.
    pub(crate) fn take(&self, origin: &Origin) -> Option<C> {
        self.take_open(origin, |state| state.take_newest(origin))
    }

    /// Takes a usable connection to `origin` for a non-idempotent request.
    ///
    /// Returns a connection only if the origin has proven that it keeps connections
    /// alive. Note that the returned connection may itself be the proof.
    pub(crate) fn take_proven(&self, origin: &Origin) -> Option<C> {
        let now = Instant::now();
        let connection = self.take_open(origin, |state| state.take_proven(origin, now))?;
        self.0.state.lock().set_proven(origin, true);
        Some(connection)
    }

    fn take_open(&self, origin: &Origin, take: impl Fn(&mut State<C>) -> Option<C>) -> Option<C> {
        for _ in 0..MAX_UNUSABLE {
            // The check below is a system call, so don't hold the lock any longer.
            let mut connection = take(&mut self.0.state.lock())?;
            match connection.idle_state() {
                IdleState::Open => return Some(connection),
                IdleState::Closed => {}
                IdleState::UnexpectedData => self.quarantine(origin),
            }
        }
        self.0.state.lock().close_all(origin);
        None
    }

    /// Records that a pooled connection to `origin` broke while it carried a request.
    pub(crate) fn record_broken(&self, origin: &Origin) {
        self.0.state.lock().set_proven(origin, false);
    }

    /// Adds `connection`, unless the origin is in quarantine. In that case it's closed.
    pub(crate) fn put(&self, origin: Origin, connection: C) {
        let limits = self.0.limits;
        let now = Instant::now();
        let mut state = self.0.state.lock();
        if limits.total == 0 || state.quarantine.contains(&origin, now) {
            drop(state);
            return;
        }
        let evicted = state.make_room(&origin, limits);
        let evicted_of_origin = state.insert(origin, connection, now, limits);
        if state.sweeper.is_none() {
            let sweeper = tokio::spawn(sweep::sweep(Arc::downgrade(&self.0)));
            state.sweeper = Some(AbortOnDropHandle::new(sweeper));
        }
        // Dropping a connection closes it, and that's a system call, so release the lock
        // first.
        drop(state);
        drop((evicted, evicted_of_origin));
    }

    /// Puts `origin` into quarantine because it sent unexpected bytes, and closes its
    /// idle connections.
    pub(crate) fn quarantine(&self, origin: &Origin) {
        let mut state = self.0.state.lock();
        state.quarantine.insert(origin, Instant::now() + QUARANTINE);
        state.close_all(origin);
    }

    /// Returns how many connections there are, including those that are about to be closed.
    pub(crate) fn count(&self) -> usize {
        let state = self.0.state.lock();
        state.ages.len() + state.closing.len()
    }

    /// Closes the oldest connection. Returns false if the pool is empty.
    pub(crate) fn evict_oldest(&self) -> bool {
        let oldest = self.0.state.lock().take_oldest();
        oldest.is_some()
    }
}

impl<C> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

#[cfg(test)]
mod tests;
