//! The task that closes connections in the background.

use std::{sync::Weak, time::Duration};

use tokio::{
    task,
    time::{self, Instant},
};
use tokio_util::task::AbortOnDropHandle;

use super::Shared;

/// The longest time between two sweeps while there is any connection.
const INTERVAL: Duration = Duration::from_secs(1);

/// The number of connections that are closed before other tasks get a turn.
const BATCH: usize = 32;

/// Closes connections that have been idle for too long, until the pool is empty.
pub(super) async fn sweep<C>(pool: Weak<Shared<C>>) {
    while let Some(shared) = pool.upgrade() {
        let next = close_expired(&shared, Instant::now());
        drop(shared);
        let Some(next) = next else {
            return;
        };
        // Connections may be added to `closing` in the meantime.
        time::sleep_until(next.min(Instant::now() + INTERVAL)).await;
        task::yield_now().await;
    }
}

/// Closes some of the connections that are closing or have expired by `now`.
///
/// Returns the time of the next sweep, or `None` if the pool is empty. The next
/// connection that is added then starts another sweeper.
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
    // Closing a connection is a system call, so the lock is released first.
    drop(state);
    // The sweeper is the calling task, which ends by itself.
    drop(sweeper.map(AbortOnDropHandle::detach));
    next
}
