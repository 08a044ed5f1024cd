//! The pool state. The pool keeps it behind a lock.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{PROVEN_AFTER, PoolLimits, Poolable, quarantine::Quarantine};
use crate::connect::Origin;

/// All connections in a pool, indexed by origin and by age.
pub(super) struct State<C> {
    pub(super) origins: HashMap<Origin, OriginState<C>>,
    /// Maps the age of each connection to its origin. The smallest key belongs to the
    /// oldest connection.
    pub(super) ages: BTreeMap<u64, Origin>,
    next_age: u64,
    pub(super) quarantine: Quarantine,
    /// Connections that are waiting for the sweeper, which closes a few of them at a
    /// time.
    pub(super) closing: Vec<C>,
    /// The task that closes connections. It runs as long as the pool isn't empty.
    pub(super) sweeper: Option<AbortOnDropHandle<()>>,
}

pub(super) struct OriginState<C> {
    /// Idle connections, oldest first.
    idle: VecDeque<Entry<C>>,
    /// Set once the origin has proven that it keeps connections alive.
    is_proven: bool,
}

pub(super) struct Entry<C> {
    connection: C,
    age: u64,
    idle_since: Instant,
}

/// If the pool is full and an origin holds more than 1/`LARGE_FRACTION` of it, then we
/// evict one of that origin's own connections to make room. This way a busy origin can't
/// push out everybody else's.
const LARGE_FRACTION: usize = 8;

impl<C> State<C> {
    pub(super) fn new() -> Self {
        Self {
            origins: HashMap::new(),
            ages: BTreeMap::new(),
            next_age: 0,
            quarantine: Quarantine::default(),
            closing: Vec::new(),
            sweeper: None,
        }
    }

    pub(super) fn take_newest(&mut self, origin: &Origin) -> Option<C> {
        let entry = self.origins.get_mut(origin)?.idle.pop_back()?;
        Some(self.remove(entry))
    }

    /// Takes the connection that's been idle for the longest time.
    pub(super) fn take_oldest(&mut self) -> Option<C> {
        let (_, origin) = self.ages.pop_first()?;
        let entry = self.origins.get_mut(&origin)?.idle.pop_front()?;
        Some(entry.connection)
    }

    /// Takes a connection to `origin`, provided that the origin or the connection itself
    /// has proven to stay alive.
    pub(super) fn take_proven(&mut self, origin: &Origin, now: Instant) -> Option<C> {
        let known = self.origins.get_mut(origin)?;
        let entry = if known.is_proven {
            known.idle.pop_back()?
        } else {
            let is_proven = |oldest: &mut Entry<C>| oldest.idle_since + PROVEN_AFTER <= now;
            known.idle.pop_front_if(is_proven)?
        };
        Some(self.remove(entry))
    }

    /// If the pool is full, takes out a connection to make room for another one to
    /// `origin`.
    pub(super) fn make_room(&mut self, origin: &Origin, limits: PoolLimits) -> Option<C> {
        if self.ages.len() < limits.total {
            return None;
        }
        let large = (limits.total / LARGE_FRACTION).max(1);
        if let Some(known) = self.origins.get_mut(origin)
            && known.idle.len() > large
            && let Some(oldest) = known.idle.pop_front()
        {
            return Some(self.remove(oldest));
        }
        self.take_oldest()
    }

    /// Removes `entry` from `ages`. The caller has already taken it out of its origin.
    fn remove(&mut self, entry: Entry<C>) -> C {
        self.ages.remove(&entry.age);
        entry.connection
    }

    /// Records whether `origin` keeps its connections alive.
    pub(super) fn set_proven(&mut self, origin: &Origin, is_proven: bool) {
        if let Some(known) = self.origins.get_mut(origin) {
            known.is_proven = is_proven;
        }
    }

    /// Hands all connections to `origin` over to the sweeper, which will close them.
    pub(super) fn close_all(&mut self, origin: &Origin) {
        while let Some(connection) = self.take_newest(origin) {
            self.closing.push(connection);
        }
    }

    /// Returns the time at which the oldest connection became idle.
    pub(super) fn oldest_idle_since(&self) -> Option<Instant> {
        let (_, origin) = self.ages.first_key_value()?;
        Some(self.origins.get(origin)?.idle.front()?.idle_since)
    }
}

impl<C: Poolable> State<C> {
    /// Adds a connection. If that would exceed the limit per origin, returns the origin's
    /// oldest connection, which the caller should close.
    pub(super) fn insert(
        &mut self,
        origin: Origin,
        connection: C,
        now: Instant,
        limits: PoolLimits,
    ) -> Option<C> {
        // We keep origins without any connections for a while because we want to remember
        // `is_proven`. Clean up if there are too many of them.
        if self.origins.len() > 2 * limits.total {
            self.origins.retain(|_, known| !known.idle.is_empty());
        }
        let age = self.next_age;
        self.next_age += 1;
        self.ages.insert(age, origin.clone());
        let known = self.origins.entry(origin).or_insert_with(|| OriginState {
            idle: VecDeque::new(),
            is_proven: false,
        });
        known.is_proven |= connection.was_reused();
        let evicted = if known.idle.len() >= limits.per_origin {
            known.idle.pop_front()
        } else {
            None
        };
        known.idle.push_back(Entry {
            connection,
            age,
            idle_since: now,
        });
        evicted.map(|entry| self.remove(entry))
    }
}
