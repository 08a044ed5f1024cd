//! Idle connections, kept for the next request to the same origin.
//!
//! Bounded in all and for each origin, the oldest evicted first; the newest is
//! taken first. A connection that is taken was quiet at that moment: one that has
//! ended, or holds bytes that nobody asked for, is closed instead. An origin that
//! sent such bytes once has none of its connections kept for a while, since what
//! comes a moment later could not be told from the response to the next request.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{Uri, uri::Authority};
use tokio::time::{self, Instant};
use tokio_util::task::AbortOnDropHandle;

/// Connections by their origin. Cheap to clone.
pub(crate) struct Pool<C>(Arc<Shared<C>>);

/// Scheme, host and port: whose connections are the same.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    is_https: bool,
    authority: Authority,
}

/// A connection that can be kept.
pub(crate) trait Keep: Send + 'static {
    /// Whether there is anything to read from it.
    fn quiet(&self) -> Quiet;
}

/// What an idle connection has to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quiet {
    /// Nothing: it can be used.
    Yes,
    /// An end, or an error.
    Ended,
    /// Bytes that nobody asked for.
    Unasked,
}

/// How many connections are kept, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Most in all.
    pub(crate) total: usize,
    /// Most of one origin.
    pub(crate) per_origin: usize,
    /// How long one is kept.
    pub(crate) idle: Duration,
}

struct Shared<C> {
    limits: Limits,
    state: Mutex<State<C>>,
}

struct State<C> {
    idle: HashMap<Origin, VecDeque<Idle<C>>>,
    /// The origin of each, by age.
    ages: BTreeMap<u64, Origin>,
    next_age: u64,
    /// Origins whose connections are not kept, and until when.
    distrusted: HashMap<Origin, Instant>,
    /// Closes what is too old, as long as there is anything.
    sweeping: Option<AbortOnDropHandle<()>>,
}

struct Idle<C> {
    connection: C,
    age: u64,
    since: Instant,
}

/// For how long an origin that sent unasked bytes is not trusted.
const DISTRUST: Duration = Duration::from_mins(5);

/// How many origins are remembered for it.
const MAX_DISTRUSTED: usize = 1024;

impl Origin {
    /// The origin of `uri`, which is absolute and normalised.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        Some(Self {
            is_https: uri.scheme_str() == Some("https"),
            authority: uri.authority()?.clone(),
        })
    }
}

impl<C: Keep> Pool<C> {
    /// A pool within `limits`.
    pub(crate) fn new(limits: Limits) -> Self {
        Self(Arc::new(Shared {
            limits,
            state: Mutex::new(State {
                idle: HashMap::new(),
                ages: BTreeMap::new(),
                next_age: 0,
                distrusted: HashMap::new(),
                sweeping: None,
            }),
        }))
    }

    /// Takes the newest connection to `origin` that is quiet.
    pub(crate) fn take(&self, origin: &Origin) -> Option<C> {
        loop {
            let connection = self.0.state().take_newest(origin)?;
            // Outside of the lock: this asks the system.
            match connection.quiet() {
                Quiet::Yes => return Some(connection),
                Quiet::Ended => {}
                Quiet::Unasked => self.distrust(origin),
            }
        }
    }

    /// Keeps `connection` for a later request, if its origin is trusted.
    pub(crate) fn put(&self, origin: Origin, connection: C) {
        let limits = self.0.limits;
        let now = Instant::now();
        let mut state = self.0.state();
        if limits.total == 0 || state.is_distrusted(&origin, now) {
            drop(state);
            return;
        }
        let oldest = (state.ages.len() >= limits.total).then(|| state.take_oldest());
        let oldest_of_origin = state.insert(origin, connection, now, limits);
        if state.sweeping.is_none() {
            let sweeping = tokio::spawn(sweep(Arc::downgrade(&self.0)));
            state.sweeping = Some(AbortOnDropHandle::new(sweeping));
        }
        drop(state);
        // Closing asks the system too.
        drop((oldest, oldest_of_origin));
    }

    /// Notes that `origin` sent bytes that nobody asked for, and closes what is
    /// kept of it.
    pub(crate) fn distrust(&self, origin: &Origin) {
        let mut closed = Vec::new();
        let mut state = self.0.state();
        let now = Instant::now();
        if state.distrusted.len() >= MAX_DISTRUSTED {
            state.distrusted.retain(|_, until| *until > now);
        }
        if state.distrusted.len() < MAX_DISTRUSTED {
            state.distrusted.insert(origin.clone(), now + DISTRUST);
        }
        while let Some(connection) = state.take_newest(origin) {
            closed.push(connection);
        }
        drop(state);
    }
}

impl<C> Shared<C> {
    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> State<C> {
    /// Adds a connection, and returns the oldest of its origin if there were as
    /// many as there may be.
    fn insert(
        &mut self,
        origin: Origin,
        connection: C,
        since: Instant,
        limits: Limits,
    ) -> Option<Idle<C>> {
        // Empty queues stay for a while: to find one is cheaper than to make it.
        if self.idle.len() > 2 * limits.total {
            self.idle.retain(|_, queue| !queue.is_empty());
        }
        let age = self.next_age;
        self.next_age += 1;
        self.ages.insert(age, origin.clone());
        let queue = self.idle.entry(origin).or_default();
        let evicted = if queue.len() >= limits.per_origin {
            queue.pop_front()
        } else {
            None
        };
        queue.push_back(Idle {
            connection,
            age,
            since,
        });
        if let Some(evicted) = &evicted {
            self.ages.remove(&evicted.age);
        }
        evicted
    }

    fn take_newest(&mut self, origin: &Origin) -> Option<C> {
        let taken = self.idle.get_mut(origin)?.pop_back()?;
        self.ages.remove(&taken.age);
        Some(taken.connection)
    }

    fn take_oldest(&mut self) -> Option<C> {
        let (_, origin) = self.ages.pop_first()?;
        let taken = self.idle.get_mut(&origin)?.pop_front()?;
        Some(taken.connection)
    }

    fn is_distrusted(&self, origin: &Origin, now: Instant) -> bool {
        // Nearly always there is none, and no need to hash.
        !self.distrusted.is_empty()
            && self
                .distrusted
                .get(origin)
                .is_some_and(|until| *until > now)
    }

    /// Since when the oldest connection is idle.
    fn oldest(&self) -> Option<Instant> {
        let (_, origin) = self.ages.first_key_value()?;
        Some(self.idle.get(origin)?.front()?.since)
    }
}

/// Closes connections that are too old until none is left.
async fn sweep<C>(pool: Weak<Shared<C>>) {
    while let Some(shared) = pool.upgrade() {
        let next = close_old(&shared, Instant::now());
        drop(shared);
        match next {
            Some(next) => time::sleep_until(next).await,
            None => return,
        }
    }
}

/// Closes the connections that are too old by `now`, and returns when the next
/// will be. If none is left, the next one to be kept starts another sweep.
fn close_old<C>(shared: &Shared<C>, now: Instant) -> Option<Instant> {
    let mut old = Vec::new();
    let mut state = shared.state();
    let next = loop {
        match state.oldest().map(|since| since + shared.limits.idle) {
            Some(end) if end <= now => old.extend(state.take_oldest()),
            next => break next,
        }
    };
    let ended = if next.is_none() {
        state.idle.clear();
        state.sweeping.take()
    } else {
        None
    };
    drop(state);
    // This task is about to end by itself.
    drop(ended.map(AbortOnDropHandle::detach));
    next
}

impl<C> Clone for Pool<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl Hash for Origin {
    /// The authority's own takes each byte for itself, to ignore case, which is
    /// normalised here.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.authority.as_str().as_bytes());
        state.write_u8(u8::from(self.is_https));
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.is_https == other.is_https && self.authority.as_str() == other.authority.as_str()
    }
}

impl Eq for Origin {}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU8, Ordering};

    use super::*;

    /// A connection by its number, and what it has to read.
    #[derive(Debug, Clone)]
    struct Numbered(u32, Arc<AtomicU8>);

    impl Keep for Numbered {
        fn quiet(&self) -> Quiet {
            match self.1.load(Ordering::Relaxed) {
                0 => Quiet::Yes,
                1 => Quiet::Ended,
                _ => Quiet::Unasked,
            }
        }
    }

    fn numbered(number: u32) -> Numbered {
        Numbered(number, Arc::default())
    }

    fn origin(url: &'static str) -> Origin {
        Origin::of(&Uri::from_static(url)).unwrap()
    }

    fn pool() -> Pool<Numbered> {
        Pool::new(Limits {
            total: 4,
            per_origin: 3,
            idle: Duration::from_secs(4),
        })
    }

    fn taken(pool: &Pool<Numbered>, origin: &Origin) -> Vec<u32> {
        std::iter::from_fn(|| pool.take(origin))
            .map(|connection| connection.0)
            .collect()
    }

    #[tokio::test(start_paused = true)]
    async fn the_newest_is_taken_and_the_oldest_evicted() {
        let (pool, a, b) = (pool(), origin("http://a/"), origin("http://b:81/"));
        (0..4).for_each(|number| pool.put(a.clone(), numbered(number)));
        assert_eq!(taken(&pool, &a), [3, 2, 1], "three of one origin");
        (0..3).for_each(|number| pool.put(a.clone(), numbered(number)));
        (3..5).for_each(|number| pool.put(b.clone(), numbered(number)));
        assert_eq!(taken(&pool, &a), [2, 1], "four in all");
        assert_eq!(taken(&pool, &b), [4, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn scheme_host_and_port_make_an_origin() {
        let pool = pool();
        pool.put(origin("http://a/x"), numbered(1));
        for other in ["https://a/x", "http://b/x", "http://a:81/x"] {
            assert!(pool.take(&origin(other)).is_none(), "{other}");
        }
        assert!(pool.take(&origin("http://a/y?z")).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_closed_without_further_traffic() {
        let (pool, a) = (pool(), origin("http://a/"));
        let first = numbered(1);
        pool.put(a.clone(), first.clone());
        time::sleep(Duration::from_secs(3)).await;
        pool.put(a.clone(), numbered(2));
        time::sleep(Duration::from_millis(1001)).await;
        assert_eq!(Arc::strong_count(&first.1), 1, "it is closed");
        assert_eq!(taken(&pool, &a), [2]);
        time::sleep(Duration::from_secs(5)).await;
        assert!(pool.0.state().sweeping.is_none());
        pool.put(a.clone(), first.clone());
        time::sleep(Duration::from_secs(5)).await;
        assert_eq!(Arc::strong_count(&first.1), 1, "a later sweep closes it");
        let state = pool.0.state();
        assert!(state.idle.is_empty() && state.ages.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_quiet_is_not_taken() {
        let (pool, a) = (pool(), origin("http://a/"));
        let (ended, unasked) = (numbered(2), numbered(4));
        for connection in [numbered(1), ended.clone()] {
            pool.put(a.clone(), connection);
        }
        ended.1.store(1, Ordering::Relaxed);
        assert_eq!(taken(&pool, &a), [1]);
        for connection in [numbered(3), unasked.clone()] {
            pool.put(a.clone(), connection);
        }
        unasked.1.store(2, Ordering::Relaxed);
        assert_eq!(taken(&pool, &a), [0; 0], "no other of that origin either");
        pool.put(a.clone(), numbered(5));
        assert_eq!(taken(&pool, &a), [0; 0], "nor a later one");
        time::sleep(DISTRUST).await;
        pool.put(a.clone(), numbered(6));
        assert_eq!(taken(&pool, &a), [6]);
    }
}
