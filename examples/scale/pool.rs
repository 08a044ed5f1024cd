//! The idle connections of a replica to origins, by the rules of `src/connect/pool.rs`.

use std::collections::{HashMap, VecDeque};

/// Idle connections. Times are in microseconds.
pub(crate) struct Pool {
    limits: Limits,
    /// The idle connections to each host, oldest first.
    hosts: HashMap<u32, VecDeque<Idle>>,
    /// All connections, oldest first. Those that were taken since are still in here.
    ages: VecDeque<(u32, Idle)>,
    next_age: u64,
    count: usize,
}

/// Limits of a pool.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) total: usize,
    pub(crate) idle_timeout: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Idle {
    age: u64,
    since: u64,
}

/// In a full pool, a host with more than 1/8 of it loses one of its own connections.
const LARGE_FRACTION: usize = 8;

impl Pool {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            hosts: HashMap::new(),
            ages: VecDeque::new(),
            next_age: 0,
            count: 0,
        }
    }

    /// Takes the newest connection to `host`. Returns false if there's none.
    pub(crate) fn take(&mut self, host: u32, now: u64) -> bool {
        self.close_expired(now);
        let Some(idle) = self.hosts.get_mut(&host) else {
            return false;
        };
        idle.pop_back();
        if idle.is_empty() {
            self.hosts.remove(&host);
        }
        self.count -= 1;
        true
    }

    /// Adds a connection to `host`.
    pub(crate) fn put(&mut self, host: u32, now: u64) {
        self.close_expired(now);
        if self.count >= self.limits.total {
            self.make_room(host);
        }
        let idle = Idle {
            age: self.next_age,
            since: now,
        };
        self.next_age += 1;
        self.ages.push_back((host, idle));
        self.hosts.entry(host).or_default().push_back(idle);
        self.count += 1;
    }

    fn make_room(&mut self, host: u32) {
        let large = (self.limits.total / LARGE_FRACTION).max(1);
        let own = self.hosts.get_mut(&host);
        match own.filter(|own| own.len() > large) {
            Some(own) => {
                own.pop_front();
                self.count -= 1;
            }
            None => while self.ages.front().is_some() && !self.drop_oldest() {},
        }
    }

    fn close_expired(&mut self, now: u64) {
        while let Some((_, oldest)) = self.ages.front()
            && oldest.since + self.limits.idle_timeout <= now
        {
            self.drop_oldest();
        }
    }

    /// Removes the first entry of `ages`. Returns true if that was an idle connection.
    fn drop_oldest(&mut self) -> bool {
        let Some((host, oldest)) = self.ages.pop_front() else {
            return false;
        };
        let Some(idle) = self.hosts.get_mut(&host) else {
            return false;
        };
        // Older ones are gone, so if it's idle, it's the first.
        let is_idle = idle.front() == Some(&oldest);
        if is_idle {
            idle.pop_front();
            self.count -= 1;
        }
        if idle.is_empty() {
            self.hosts.remove(&host);
        }
        is_idle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Pool {
        Pool::new(Limits {
            total: 3,
            idle_timeout: 10,
        })
    }

    #[test]
    fn connection_is_taken_once_and_until_it_expires() {
        let mut pool = pool();
        pool.put(7, 0);
        assert!(!pool.take(8, 1) && pool.take(7, 9) && !pool.take(7, 9));
        pool.put(7, 9);
        pool.put(7, 15);
        assert!(pool.take(7, 18) && pool.take(7, 18));
        pool.put(7, 20);
        assert!(!pool.take(7, 30));
        assert_eq!((pool.count, pool.hosts.len()), (0, 0));
    }

    #[test]
    fn oldest_idle_connection_makes_room() {
        let mut pool = pool();
        for host in [1, 2, 3] {
            pool.put(host, 0);
        }
        // The entry of the taken one is the oldest, but it's not idle.
        assert!(pool.take(1, 1));
        pool.put(4, 2);
        pool.put(5, 3);
        assert_eq!(pool.count, 3);
        assert!(!pool.take(2, 4) && pool.take(3, 4) && pool.take(4, 4) && pool.take(5, 4));
    }

    #[test]
    fn large_host_loses_its_own_connection() {
        let mut pool = pool();
        for host in [1, 2, 2, 2] {
            pool.put(host, 0);
        }
        assert!(pool.take(1, 1) && pool.take(2, 1) && pool.take(2, 1) && !pool.take(2, 1));
    }
}
