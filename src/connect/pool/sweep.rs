//! The background task that closes connections.

use std::{sync::Weak, time::Duration};

use tokio::{
    task,
    time::{self, Instant},
};
use tokio_util::task::AbortOnDropHandle;

use super::Shared;

/// The longest time between two sweeps, as long as the pool isn't empty.
const INTERVAL: Duration = Duration::from_secs(1);

/// How many connections we close before we yield to other tasks.
const BATCH: usize = 32;

/// Closes connections that have been idle for too long. Returns once the pool is empty.
pub(super) async fn sweep<C>(pool: Weak<Shared<C>>) {
    while let Some(shared) = pool.upgrade() {
        let next = close_expired(&shared, Instant::now());
        drop(shared);
        let Some(next) = next else {
            return;
        };
        // Don't sleep for longer than this: `closing` may get new connections while we
        // wait.
        time::sleep_until(next.min(Instant::now() + INTERVAL)).await;
        task::yield_now().await;
    }
}

/// Closes up to [`BATCH`] connections, taken from those waiting to be closed and those
/// that have expired by `now`.
///
/// Returns when the next sweep is due, or `None` if the pool is empty. In the latter case
/// the sweeper ends. The next connection that's added to the pool starts a new one.
fn close_expired<C>(shared: &Shared<C>, now: Instant) -> Option<Instant> {
    let mut state = shared.state.lock();
    let rest = state.closing.len().saturating_sub(BATCH);
    let mut closed = state.closing.split_off(rest);
    let next = loop {
        let expiry = state
            .oldest_idle_since()
            .map(|since| since + shared.limits.idle_timeout);
        match expiry {
            Some(expiry) if expiry <= now && closed.len() < BATCH => {
                closed.extend(state.take_oldest());
            }
            _ if !state.closing.is_empty() => break Some(now),
            expiry => break expiry,
        }
    };
    let sweeper = if next.is_none() {
        state.origins.clear();
        state.sweeper.take()
    } else {
        None
    };
    // Dropping a connection closes it, and that's a system call, so release the lock
    // first.
    drop(state);
    // We're running inside this very task and it's about to return anyway, so detach it
    // instead of aborting it.
    drop(sweeper.map(AbortOnDropHandle::detach));
    next
}
