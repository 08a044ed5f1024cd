//! A pool of idle connections, kept for the next request to the same origin.
//!
//! The pool is bounded in total and for each origin. It evicts the oldest connection
//! first and hands out the newest first. Right before it hands out a connection, it
//! asks the operating system about it: a connection that has ended or has bytes to read
//! is closed instead. An origin that sent unexpected bytes is quarantined for a while,
//! because bytes that arrive a moment later could not be told from the response to the
//! next request.
//!
//! Some origins close each connection right after a response without announcing it. A
//! non-idempotent request that meets such a connection is lost, so it gets a pooled
//! connection only if the origin has proven that it keeps connections alive.

mod quarantine;
mod state;
mod sweep;

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::Origin;
use state::State;

/// A pool of connections, by origin. Cheap to clone.
pub(crate) struct Pool<C>(Arc<Shared<C>>);

/// A connection that can be pooled.
pub(crate) trait Poolable: Send + 'static {
    /// Returns the state of the connection while it is idle.
    fn idle_state(&mut self) -> IdleState;

    /// Returns true if the connection has carried more than one exchange.
    fn was_reused(&self) -> bool;
}

/// The state of an idle connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdleState {
    /// Open, and without bytes to read: it can be used.
    Open,
    /// Closed by the origin, or broken.
    Closed,
    /// The origin sent bytes without a request.
    UnexpectedData,
}

/// The limits of a pool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PoolLimits {
    /// The maximum number of connections in total.
    pub(crate) total: usize,
    /// The maximum number of connections of one origin.
    pub(crate) per_origin: usize,
    /// How long a connection may be idle before it is closed.
    pub(crate) idle_timeout: Duration,
}

struct Shared<C> {
    limits: PoolLimits,
    state: Mutex<State<C>>,
}

/// A connection that is still open after this time proves that its origin keeps
/// connections alive.
const PROVEN_AFTER: Duration = Duration::from_millis(50);

/// How long an origin that sent unexpected bytes is quarantined.
const QUARANTINE: Duration = Duration::from_mins(5);

/// The number of unusable connections after which all connections of the origin are
/// closed, because each check is a system call.
const MAX_UNUSABLE: usize = 8;

impl<C: Poolable> Pool<C> {
    /// Creates an empty pool.
    pub(crate) fn new(limits: PoolLimits) -> Self {
        Self(Arc::new(Shared {
            limits,
            state: Mutex::new(State::new()),
        }))
    }

    /// Takes the newest usable connection to `origin`, for an idempotent request, which
    /// can be sent again if the connection breaks.
    pub(crate) fn take(&self, origin: &Origin) -> Option<C> {
        self.take_open(origin, |state| state.take_newest(origin))
    }

    /// Takes a usable connection to `origin` for a non-idempotent request: only if the
    /// origin has proven that it keeps connections alive. The returned connection may
    /// itself be the first proof.
    pub(crate) fn take_proven(&self, origin: &Origin) -> Option<C> {
        let now = Instant::now();
        let connection = self.take_open(origin, |state| state.take_proven(origin, now))?;
        self.0.state.lock().set_proven(origin, true);
        Some(connection)
    }

    fn take_open(&self, origin: &Origin, take: impl Fn(&mut State<C>) -> Option<C>) -> Option<C> {
        for _ in 0..MAX_UNUSABLE {
            // The check below is a system call, so the lock is released first.
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

    /// Records that a pooled connection to `origin` broke under a request.
    pub(crate) fn record_broken(&self, origin: &Origin) {
        self.0.state.lock().set_proven(origin, false);
    }

    /// Adds `connection` unless its origin is quarantined.
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
        // Closing a connection is a system call, so the lock is released first.
        drop(state);
        drop((evicted, evicted_of_origin));
    }

    /// Quarantines `origin`, which sent unexpected bytes, and closes its idle
    /// connections.
    pub(crate) fn quarantine(&self, origin: &Origin) {
        let mut state = self.0.state.lock();
        state.quarantine.insert(origin, Instant::now() + QUARANTINE);
        state.close_all(origin);
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
