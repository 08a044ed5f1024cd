//! The registry of the connections from callers: how many there may be, and which of
//! them are closed to make room for others.
//!
//! A connection needs a permit to run batches. If all permits are taken, a new
//! connection is an overflow connection: its auxiliary calls are answered, and its
//! batches wait for a permit. While one waits, the connection that has been without a
//! batch for the longest time is asked to close.

#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::Notify,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    caller::{Caller, Peer},
    shares::{Quota, Shares},
};

/// The connections from callers. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub(super) struct Registry(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when a permit is released.
    released: Notify,
}

struct State {
    permits: Shares,
    /// Ordered by age.
    connections: BTreeMap<u64, Connection>,
    next_id: u64,
}

struct Connection {
    caller: Caller,
    has_permit: bool,
    batches: usize,
    /// When the connection was opened, or its last batch ended.
    idle_since: Instant,
    signals: Signals,
}

/// Signals from the registry to a connection.
#[derive(Clone, Default)]
struct Signals {
    /// The connection should close when its batches have ended.
    close: CancellationToken,
    /// The connection must close now.
    evict: CancellationToken,
}

/// The entry of one open connection. Dropping it removes the connection.
pub(super) struct Registration {
    registry: Registry,
    id: u64,
    signals: Signals,
}

/// A batch that is open on a connection. Dropping it ends the batch.
pub(super) struct OpenBatch {
    registry: Registry,
    id: u64,
    /// The batch is among the few that may wait for the permit of the connection.
    may_wait: bool,
}

/// A caller whose connections hold this many times the free permits gets no more.
const SHARE_RATIO: usize = 31;

/// The most overflow connections. One more evicts the oldest one of the caller that has
/// the most.
const MAX_OVERFLOW: usize = 64;

/// The most batches of one connection that may wait for its permit: each holds a stream
/// meanwhile.
const MAX_WAITING: usize = 16;

/// A connection that has been without a batch for this long is closed if another
/// connection needs its permit for a batch.
const IDLE: Duration = Duration::from_secs(1);

/// How often a batch that waits for a permit looks for an idle connection to close.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

impl Registry {
    /// Returns an empty registry with this many permits.
    pub(super) fn new(permits: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                permits: Shares::new(permits, SHARE_RATIO),
                connections: BTreeMap::new(),
                next_id: 0,
            }),
            released: Notify::new(),
        }))
    }

    /// Returns how many connections may be open at once if there are this many permits,
    /// including those that are asked to close.
    pub(super) fn max_connections(permits: usize) -> usize {
        permits.saturating_add(2 * MAX_OVERFLOW)
    }

    /// Returns a quota of one unit for each connection, shared as the permits are.
    pub(super) fn quota(permits: usize) -> Quota {
        Quota::new(Self::max_connections(permits), SHARE_RATIO)
    }

    /// Registers a new connection, which gets a permit if one is free.
    pub(super) fn register(&self, peer: Peer) -> Registration {
        let caller = Caller::from(peer);
        let signals = Signals::default();
        let mut state = self.0.state.lock();
        let id = state.next_id;
        state.next_id += 1;
        let has_permit = state.permits.take(caller, 1);
        if !has_permit {
            state.make_room_for_overflow();
        }
        let connection = Connection {
            caller,
            has_permit,
            batches: 0,
            idle_since: Instant::now(),
            signals: signals.clone(),
        };
        state.connections.insert(id, connection);
        Registration {
            registry: self.clone(),
            id,
            signals,
        }
    }
}

impl State {
    /// Evicts an overflow connection if there are as many as allowed: the oldest one of
    /// the caller that has the most.
    fn make_room_for_overflow(&mut self) {
        let overflow = || self.connections.values().filter(|one| one.is_overflow());
        let mut counts: HashMap<Caller, usize> = HashMap::new();
        for connection in overflow() {
            *counts.entry(connection.caller).or_default() += 1;
        }
        if counts.values().sum::<usize>() < MAX_OVERFLOW {
            return;
        }
        // `max_by_key` returns the last of equals, which is the oldest in reverse order.
        let evicted = overflow().rev().max_by_key(|one| counts[&one.caller]);
        if let Some(connection) = evicted {
            connection.signals.close.cancel();
            connection.signals.evict.cancel();
        }
    }

    /// Asks the connection that has been idle for the longest time to close, so that
    /// `caller` gets its permit. Does nothing if one is closing already, or if `caller`
    /// has so many permits that it would not get another.
    fn make_room_for_batch(&self, caller: Caller) {
        let with_permit = || self.connections.values().filter(|one| one.has_permit);
        let held = with_permit().filter(|one| one.caller == caller).count();
        if held >= SHARE_RATIO || with_permit().any(Connection::is_closing) {
            return;
        }
        let now = Instant::now();
        let longest_idle = with_permit()
            .filter(|one| one.can_close_for_another(now))
            .min_by_key(|one| one.idle_since);
        if let Some(connection) = longest_idle {
            connection.signals.close.cancel();
        }
    }

    /// Returns true if the connection has a permit, or gets one now.
    fn take_permit(&mut self, id: u64) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        if !connection.has_permit {
            connection.has_permit = self.permits.take(connection.caller, 1);
        }
        connection.has_permit
    }
}

impl Connection {
    /// Returns true if this is an overflow connection that may be evicted.
    fn is_overflow(&self) -> bool {
        !self.has_permit && !self.signals.close.is_cancelled()
    }

    /// Returns true if the connection was asked to close and has no batch to wait for.
    fn is_closing(&self) -> bool {
        self.signals.close.is_cancelled() && self.batches == 0
    }

    fn can_close_for_another(&self, now: Instant) -> bool {
        let is_idle = self.batches == 0 && self.idle_since + IDLE <= now;
        is_idle && !self.signals.close.is_cancelled()
    }
}

impl Registration {
    /// Waits until the connection is asked to close. Cancel-safe.
    pub(super) async fn asked_to_close(&self) {
        self.signals.close.cancelled().await;
    }

    /// Waits until the connection must close at once. Cancel-safe.
    pub(super) async fn evicted(&self) {
        self.signals.evict.cancelled().await;
    }

    /// Notes a new batch on the connection.
    pub(super) fn begin_batch(&self) -> OpenBatch {
        let mut batches = 0;
        if let Some(connection) = self.registry.0.state.lock().connections.get_mut(&self.id) {
            connection.batches += 1;
            batches = connection.batches;
        }
        OpenBatch {
            registry: self.registry.clone(),
            id: self.id,
            may_wait: batches <= MAX_WAITING,
        }
    }

    /// Waits until the connection has been without a batch for `time`. Cancel-safe.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let since = self.idle_since();
            if since.elapsed() >= time {
                return;
            }
            time::sleep_until(since + time).await;
        }
    }

    /// Returns since when the connection has been without a batch: now, if it has one.
    fn idle_since(&self) -> Instant {
        let state = self.registry.0.state.lock();
        match state.connections.get(&self.id) {
            Some(connection) if connection.batches == 0 => connection.idle_since,
            _ => Instant::now(),
        }
    }
}

impl OpenBatch {
    /// Waits until the connection has a permit. Returns false if too many of its batches
    /// wait already. Cancel-safe.
    pub(super) async fn permit(&self) -> bool {
        loop {
            let mut released = std::pin::pin!(self.registry.0.released.notified());
            released.as_mut().enable();
            {
                let mut state = self.registry.0.state.lock();
                if state.take_permit(self.id) {
                    return true;
                }
                if !self.may_wait {
                    return false;
                }
                if let Some(connection) = state.connections.get(&self.id) {
                    state.make_room_for_batch(connection.caller);
                }
            }
            let _ = time::timeout(CHECK_INTERVAL, released).await;
        }
    }
}

impl Drop for OpenBatch {
    fn drop(&mut self) {
        if let Some(connection) = self.registry.0.state.lock().connections.get_mut(&self.id) {
            connection.batches -= 1;
            connection.idle_since = Instant::now();
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let mut state = self.registry.0.state.lock();
        let Some(connection) = state.connections.remove(&self.id) else {
            return;
        };
        if connection.has_permit {
            state.permits.release(connection.caller, 1);
            drop(state);
            self.registry.0.released.notify_waiters();
        }
    }
}
