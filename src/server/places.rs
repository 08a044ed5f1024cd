//! The connections from callers: how many there may be, and which of them make
//! room for others.
//!
//! A connection needs a place for a batch. One that came when all places were taken
//! is a visitor: its calls to health and reflection are answered, and a batch waits
//! for a place. If a visitor waits, the connection that has been without a batch
//! for the longest is asked to go away.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;

use crate::{
    caller::Caller,
    shares::{Quota, Shares},
};

/// The connections from callers. Cheap to clone; all clones share one state.
#[derive(Clone)]
pub(super) struct Places(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    freed: Notify,
}

struct State {
    places: Shares,
    /// By age.
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

struct Connection {
    caller: Caller,
    has_place: bool,
    batches: usize,
    /// When it was opened, or its last batch ended.
    idle_since: Instant,
    leave: CancellationToken,
    /// It is to go at once.
    evicted: CancellationToken,
}

/// One connection, as long as it is open.
pub(super) struct Visit {
    places: Places,
    id: u64,
    leave: CancellationToken,
    evicted: CancellationToken,
}

/// A batch of a connection, as long as its call lasts.
pub(super) struct Busy {
    places: Places,
    id: u64,
    /// It is one of the few that may wait for a place.
    may_wait: bool,
}

/// A caller whose connections have this many times as many places as are free gets
/// no more.
const SHARE: usize = 31;

/// How many connections there may be without a place. One more takes the place of
/// the oldest of the caller that has most.
const MAX_VISITORS: usize = 64;

/// How many batches of one connection may wait for its place: each holds its head
/// meanwhile.
const MAX_WAITING: usize = 16;

/// A connection that has been without a batch for this long makes room for a
/// visitor with one.
const IDLE: Duration = Duration::from_secs(1);

/// How often a visitor that waits looks for a connection that is idle.
const LOOK: Duration = Duration::from_millis(100);

impl Places {
    /// Places for `most` connections.
    pub(super) fn new(most: usize) -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                places: Shares::new(most, SHARE),
                connections: BTreeMap::new(),
                next: 0,
            }),
            freed: Notify::new(),
        }))
    }

    /// How many connections there may be at once, those that are asked to go away
    /// among them.
    pub(super) fn most(places: usize) -> usize {
        places.saturating_add(2 * MAX_VISITORS)
    }

    /// One for each connection there may be, and shared as these are.
    pub(super) fn quota(places: usize) -> Quota {
        Quota::new(Self::most(places), SHARE)
    }

    /// Notes a new connection of `caller`, which gets a place if there is one.
    pub(super) fn enter(&self, caller: Caller) -> Visit {
        let (leave, evicted) = (CancellationToken::new(), CancellationToken::new());
        let mut state = self.state();
        let id = state.next;
        state.next += 1;
        let has_place = state.places.take(caller, 1);
        if !has_place {
            state.make_room_for_visitor();
        }
        let connection = Connection {
            caller,
            has_place,
            batches: 0,
            idle_since: Instant::now(),
            leave: leave.clone(),
            evicted: evicted.clone(),
        };
        state.connections.insert(id, connection);
        drop(state);
        Visit {
            places: self.clone(),
            id,
            leave,
            evicted,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Asks a visitor to go away if there are as many as there may be: the oldest
    /// of the caller that has most.
    fn make_room_for_visitor(&mut self) {
        let mut counts: HashMap<Caller, usize> = HashMap::new();
        let visitors = self.connections.values();
        let visitors = visitors.filter(|one| !one.has_place && !one.leave.is_cancelled());
        let mut all = 0;
        for visitor in visitors.clone() {
            *counts.entry(visitor.caller).or_default() += 1;
            all += 1;
        }
        if all >= MAX_VISITORS {
            // Of equals, `max_by_key` returns the last: the oldest, in reverse.
            let visitors = visitors.rev();
            if let Some(visitor) = visitors.max_by_key(|one| counts[&one.caller]) {
                visitor.leave.cancel();
                visitor.evicted.cancel();
            }
        }
    }

    /// Asks the connection that has been idle for the longest to go away, for one of
    /// `caller`, unless one is going already, or the place would not be its own.
    fn make_room_for_batch(&mut self, caller: Caller) {
        let placed = || self.connections.values().filter(|one| one.has_place);
        let own = placed().filter(|one| one.caller == caller).count();
        let is_going = |one: &Connection| one.leave.is_cancelled() && one.batches == 0;
        if own >= SHARE || placed().any(is_going) {
            return;
        }
        let now = Instant::now();
        let idle = self.connections.values().filter(|connection| {
            let is_idle = connection.batches == 0 && connection.idle_since + IDLE <= now;
            connection.has_place && is_idle && !connection.leave.is_cancelled()
        });
        if let Some(longest) = idle.min_by_key(|connection| connection.idle_since) {
            longest.leave.cancel();
        }
    }

    fn give_place(&mut self, id: u64) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else {
            return false;
        };
        if !connection.has_place {
            connection.has_place = self.places.take(connection.caller, 1);
        }
        connection.has_place
    }
}

impl Visit {
    /// Waits until the connection is asked to go away. Cancel-safe.
    pub(super) async fn asked_to_leave(&self) {
        self.leave.cancelled().await;
    }

    /// Waits until the connection is to make room for another at once. Cancel-safe.
    pub(super) async fn evicted(&self) {
        self.evicted.cancelled().await;
    }

    /// Notes a batch, as long as what is returned.
    pub(super) fn begin_batch(&self) -> Busy {
        let mut batches = 0;
        if let Some(connection) = self.places.state().connections.get_mut(&self.id) {
            connection.batches += 1;
            batches = connection.batches;
        }
        Busy {
            places: self.places.clone(),
            id: self.id,
            may_wait: batches <= MAX_WAITING,
        }
    }

    /// Waits until the connection has had no batch for `time`. Cancel-safe.
    pub(super) async fn idle_for(&self, time: Duration) {
        loop {
            let since = {
                let state = self.places.state();
                let connection = state.connections.get(&self.id);
                let idle = connection.filter(|connection| connection.batches == 0);
                idle.map_or_else(Instant::now, |idle| idle.idle_since)
            };
            if since.elapsed() >= time {
                return;
            }
            time::sleep_until(since + time).await;
        }
    }
}

impl Busy {
    /// Waits until the connection has a place. False: too many batches of it wait
    /// already. Cancel-safe.
    pub(super) async fn place(&self) -> bool {
        loop {
            let mut freed = std::pin::pin!(self.places.0.freed.notified());
            freed.as_mut().enable();
            {
                let mut state = self.places.state();
                if state.give_place(self.id) {
                    return true;
                }
                if !self.may_wait {
                    return false;
                }
                if let Some(caller) = state.connections.get(&self.id).map(|one| one.caller) {
                    state.make_room_for_batch(caller);
                }
            }
            let _ = time::timeout(LOOK, freed).await;
        }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        if let Some(connection) = self.places.state().connections.get_mut(&self.id) {
            connection.batches -= 1;
            connection.idle_since = Instant::now();
        }
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut state = self.places.state();
        if let Some(connection) = state.connections.remove(&self.id)
            && connection.has_place
        {
            state.places.give_back(connection.caller, 1);
            drop(state);
            self.places.0.freed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn caller(last: u8) -> Caller {
        Caller::at(Some(SocketAddr::from(([127, 0, 0, last], 1))))
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_makes_room_for_one_with_a_batch() {
        let places = Places::new(2);
        let (busy, idle) = (places.enter(caller(1)), places.enter(caller(1)));
        let _batch = busy.begin_batch();
        let visitor = places.enter(caller(2));
        let waiting = visitor.begin_batch();
        let begun = Instant::now();
        tokio::select! {
            _ = waiting.place() => panic!("there is no place"),
            () = busy.asked_to_leave() => panic!("it has a batch"),
            () = idle.asked_to_leave() => {}
        }
        assert!(begun.elapsed() >= IDLE && begun.elapsed() < 2 * IDLE);
        drop(idle);
        assert!(waiting.place().await);
        assert!(!visitor.leave.is_cancelled() && !busy.leave.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn few_batches_wait_for_the_place_of_one_connection() {
        let places = Places::new(1);
        let first = places.enter(caller(1));
        let batches: Vec<_> = (0..2 * MAX_WAITING).map(|_| first.begin_batch()).collect();
        for batch in &batches {
            assert!(batch.place().await);
        }
        let visitor = places.enter(caller(2));
        let waiting: Vec<_> = (0..MAX_WAITING).map(|_| visitor.begin_batch()).collect();
        let patience = Duration::from_secs(10);
        assert!(time::timeout(patience, waiting[0].place()).await.is_err());
        assert!(!visitor.begin_batch().place().await, "one more");
        drop((first, batches));
        assert!(waiting[0].place().await);
    }

    #[test]
    fn visitors_are_bounded_and_the_many_of_one_caller_go_first() {
        let places = Places::new(1);
        let _placed = places.enter(caller(1));
        let probe = places.enter(caller(2));
        let many: Vec<_> = (0..3 * MAX_VISITORS)
            .map(|_| places.enter(caller(3)))
            .collect();
        assert!(!probe.leave.is_cancelled());
        let staying = many.iter().filter(|visit| !visit.leave.is_cancelled());
        assert_eq!(staying.count(), MAX_VISITORS - 1);
        assert!(!many[many.len() - 1].leave.is_cancelled(), "the oldest go");
    }

    #[tokio::test(start_paused = true)]
    async fn a_batch_is_no_idle_time() {
        let places = Places::new(1);
        let visit = places.enter(caller(1));
        let begun = Instant::now();
        let batch = async {
            let _batch = visit.begin_batch();
            time::sleep(2 * IDLE).await;
        };
        tokio::join!(batch, visit.idle_for(IDLE));
        assert!(begun.elapsed() >= 3 * IDLE);
    }
}
