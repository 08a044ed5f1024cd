//! Keeps track of all connections from callers. It limits how many there are, and decides
//! which ones to close to make room for others.
//!
//! A connection needs a permit to run batches. When there are no permits left, a new
//! connection becomes an overflow connection. We still answer its auxiliary calls, but
//! its batches have to wait for a permit. While a batch waits, we ask the connection that
//! has been idle the longest to close.

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
    telemetry::Connections,
};

/// The connections from callers.
///
/// This is just an `Arc`, so it's cheap to clone.
#[derive(Clone)]
pub(super) struct Registry(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Notified when a permit is released.
    released: Notify,
}

struct State {
    permits: Shares,
    /// Ordered by age, since ids only go up.
    connections: BTreeMap<u64, Connection>,
    next_id: u64,
}

struct Connection {
    caller: Caller,
    has_permit: bool,
    batches: usize,
    /// When the last batch ended, or when the connection was opened if it hasn't had one.
    idle_since: Instant,
    signals: Signals,
}

/// Signals sent to a connection.
#[derive(Clone, Default)]
struct Signals {
    /// The connection should close once its batches have ended.
    close: CancellationToken,
    /// The connection must close immediately.
    evict: CancellationToken,
}

/// An open connection's entry. Dropping it removes the connection from the registry.
pub(super) struct Registration {
    registry: Registry,
    id: u64,
    signals: Signals,
}

/// An open batch on a connection. Dropping it ends the batch.
pub(super) struct OpenBatch {
    registry: Registry,
    id: u64,
    /// Whether this batch may wait for the connection's permit. Only a few may.
    may_wait: bool,
}

/// A caller that holds this many times as many permits as are free doesn't get another
/// one.
const SHARE_RATIO: usize = 31;

/// The maximum number of overflow connections. If there's one more, we look for the
/// caller that has the most of them and evict its oldest one.
const MAX_OVERFLOW: usize = 64;

/// How many idle connections to evict if we can't accept another one. There are usually
/// more peers waiting than just one.
const EVICTED_AT_ONCE: usize = 4;

/// How many batches of a connection may wait for its permit. Each of them holds a stream
/// while it waits. Any more are rejected.
const MAX_WAITING: usize = 16;

/// How long a connection must have been without a batch before we close it to give its
/// permit to another connection.
const IDLE: Duration = Duration::from_secs(1);

/// How often a waiting batch looks for an idle connection to close.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);

impl Registry {
    /// Creates an empty registry with the given number of permits.
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

    /// Returns how many connections may be open at once if there are this many permits.
    /// Connections that were asked to close count too.
    pub(super) fn max_connections(permits: usize) -> usize {
        permits.saturating_add(2 * MAX_OVERFLOW)
    }

    /// Creates a quota with one unit for every possible connection. It's shared between
    /// callers the same way permits are.
    pub(super) fn quota(permits: usize) -> Quota {
        Quota::new(Self::max_connections(permits), SHARE_RATIO)
    }

    /// Evicts a few idle connections, because the process has no file descriptor for
    /// another one. Otherwise the callers that hold them could keep everyone else out for
    /// as long as a connection may be idle.
    pub(super) fn make_room_for_accept(&self) {
        let mut state = self.0.state.lock();
        for _ in 0..EVICTED_AT_ONCE {
            state.evict_idle();
        }
    }

    /// Returns how many connections have an open batch, and how many don't.
    pub(super) fn connections(&self) -> Connections {
        let state = self.0.state.lock();
        let all = state.connections.len();
        let connections = state.connections.values();
        let active = connections.filter(|one| one.batches > 0).count();
        Connections {
            active,
            idle: all - active,
        }
    }

    /// Registers a new connection. It gets a permit if one is free.
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
    /// Evicts the oldest idle connection of the caller that has the most idle ones.
    fn evict_idle(&mut self) {
        let idle = || {
            let connections = self.connections.values();
            connections.filter(|one| one.batches == 0 && !one.signals.evict.is_cancelled())
        };
        let mut counts: HashMap<Caller, usize> = HashMap::new();
        for connection in idle() {
            *counts.entry(connection.caller).or_default() += 1;
        }
        // In reverse for the same reason as in `make_room_for_overflow`.
        if let Some(connection) = idle().rev().max_by_key(|one| counts[&one.caller]) {
            connection.signals.close.cancel();
            connection.signals.evict.cancel();
        }
    }

    /// Evicts an overflow connection if there are already [`MAX_OVERFLOW`]. We pick the
    /// caller that has the most, and evict its oldest one.
    fn make_room_for_overflow(&mut self) {
        let overflow = || self.connections.values().filter(|one| one.is_overflow());
        let mut counts: HashMap<Caller, usize> = HashMap::new();
        for connection in overflow() {
            *counts.entry(connection.caller).or_default() += 1;
        }
        if counts.values().sum::<usize>() < MAX_OVERFLOW {
            return;
        }
        // Iterate in reverse, because `max_by_key` returns the last of several equal
        // elements, and we want the oldest.
        let evicted = overflow().rev().max_by_key(|one| counts[&one.caller]);
        if let Some(connection) = evicted {
            connection.signals.close.cancel();
            connection.signals.evict.cancel();
        }
    }

    /// Asks the connection that has been idle the longest to close, so that `caller` can
    /// have its permit. Does nothing if a connection is already closing. Also does
    /// nothing if `caller` has so many permits that it wouldn't get another.
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

    /// Returns true if the connection has a permit. If it doesn't, we try to get one.
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
    /// Returns true for an overflow connection that hasn't been told to close yet.
    fn is_overflow(&self) -> bool {
        !self.has_permit && !self.signals.close.is_cancelled()
    }

    /// Returns true if the connection was asked to close and its batches are done.
    fn is_closing(&self) -> bool {
        self.signals.close.is_cancelled() && self.batches == 0
    }

    fn can_close_for_another(&self, now: Instant) -> bool {
        let is_idle = self.batches == 0 && self.idle_since + IDLE <= now;
        is_idle && !self.signals.close.is_cancelled()
    }
}

impl Registration {
    /// Waits for the request to close the connection. Cancel-safe.
    pub(super) async fn asked_to_close(&self) {
        self.signals.close.cancelled().await;
    }

    /// Waits until the connection must close immediately. Cancel-safe.
    pub(super) async fn evicted(&self) {
        self.signals.evict.cancelled().await;
    }

    /// Registers a new batch on the connection.
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

    /// Waits until the connection has had no batch for `time`. Cancel-safe.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let since = self.idle_since();
            if since.elapsed() >= time {
                return;
            }
            time::sleep_until(since + time).await;
        }
    }

    /// Returns when the connection became idle. If it has a batch, that's now.
    fn idle_since(&self) -> Instant {
        let state = self.registry.0.state.lock();
        match state.connections.get(&self.id) {
            Some(connection) if connection.batches == 0 => connection.idle_since,
            _ => Instant::now(),
        }
    }
}

impl OpenBatch {
    /// Waits for the connection to get a permit. Returns false if too many of its batches
    /// are waiting already. Cancel-safe.
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
