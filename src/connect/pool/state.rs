//! The state of a pool, which a lock protects.

use std::collections::{BTreeMap, HashMap, VecDeque};

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::{PROVEN_AFTER, PoolLimits, Poolable, quarantine::Quarantine};
use crate::connect::Origin;

/// The connections of a pool, by origin and by age.
pub(super) struct State<C> {
    pub(super) origins: HashMap<Origin, OriginState<C>>,
    /// The origin of each connection, by age: the smallest key is the oldest.
    pub(super) ages: BTreeMap<u64, Origin>,
    next_age: u64,
    pub(super) quarantine: Quarantine,
    /// Connections that the sweeper closes, a few at a time.
    pub(super) closing: Vec<C>,
    /// The task that closes connections. It runs while there is any connection.
    pub(super) sweeper: Option<AbortOnDropHandle<()>>,
}

/// The connections of one origin.
pub(super) struct OriginState<C> {
    /// Oldest first.
    idle: VecDeque<Entry<C>>,
    /// True if the origin has proven that it keeps connections alive.
    is_proven: bool,
}

/// An idle connection.
pub(super) struct Entry<C> {
    connection: C,
    age: u64,
    idle_since: Instant,
}

/// An origin with more than this fraction of a full pool makes room by evicting its own
/// connections, so that it does not evict those of all others.
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

    /// Takes the newest connection to `origin`.
    pub(super) fn take_newest(&mut self, origin: &Origin) -> Option<C> {
        let entry = self.origins.get_mut(origin)?.idle.pop_back()?;
        Some(self.remove(entry))
    }

    /// Takes the connection that has been idle for the longest time.
    pub(super) fn take_oldest(&mut self) -> Option<C> {
        let (_, origin) = self.ages.pop_first()?;
        let entry = self.origins.get_mut(&origin)?.idle.pop_front()?;
        Some(entry.connection)
    }

    /// Takes a connection to `origin` that has proven to be kept alive.
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

    /// Takes the connection that makes room for another to `origin` if the pool is full.
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

    /// Removes `entry`, which was taken from its origin, from the ages.
    fn remove(&mut self, entry: Entry<C>) -> C {
        self.ages.remove(&entry.age);
        entry.connection
    }

    /// Records whether `origin` keeps connections alive.
    pub(super) fn set_proven(&mut self, origin: &Origin, is_proven: bool) {
        if let Some(known) = self.origins.get_mut(origin) {
            known.is_proven = is_proven;
        }
    }

    /// Leaves all connections to `origin` for the sweeper to close.
    pub(super) fn close_all(&mut self, origin: &Origin) {
        while let Some(connection) = self.take_newest(origin) {
            self.closing.push(connection);
        }
    }

    /// Returns the time since which the oldest connection has been idle.
    pub(super) fn oldest_idle_since(&self) -> Option<Instant> {
        let (_, origin) = self.ages.first_key_value()?;
        Some(self.origins.get(origin)?.idle.front()?.idle_since)
    }
}

impl<C: Poolable> State<C> {
    /// Adds a connection, and returns the oldest connection of its origin if it has
    /// reached its limit.
    pub(super) fn insert(
        &mut self,
        origin: Origin,
        connection: C,
        now: Instant,
        limits: PoolLimits,
    ) -> Option<C> {
        // Origins without a connection stay for a while because of `is_proven`.
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
