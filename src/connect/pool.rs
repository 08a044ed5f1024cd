//! Idle connections, kept for the next request to the same origin.
//!
//! Bounded in all and for each origin, the oldest evicted first; the newest is
//! taken first. A connection that is taken was quiet at that moment: one that has
//! ended, or holds bytes that nobody asked for, is closed instead. An origin that
//! sent such bytes once has none of its connections kept for a while, since what
//! comes a moment later could not be told from the response to the next request.
//!
//! Some origins close each connection right after a response, without saying so.
//! A request that must not be sent twice is lost if it meets such a connection
//! before it closes: it gets a kept one only once the origin has shown that it
//! keeps them.

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

    /// Returns true if it was kept before, and carried another request.
    fn was_reused(&self) -> bool;
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
    origins: HashMap<Origin, Known<C>>,
    /// The origin of each, by age.
    ages: BTreeMap<u64, Origin>,
    next_age: u64,
    /// Origins whose connections are not kept, and until when.
    distrusted: HashMap<Origin, Instant>,
    /// Closes what is too old, as long as there is anything.
    sweeping: Option<AbortOnDropHandle<()>>,
}

/// What is known of one origin.
struct Known<C> {
    /// Its connections, the oldest first.
    idle: VecDeque<Idle<C>>,
    /// It does not close connections right after a response.
    keeps: bool,
}

struct Idle<C> {
    connection: C,
    age: u64,
    since: Instant,
}

/// A connection that is quiet after this long shows that its origin keeps them.
const PROOF: Duration = Duration::from_millis(50);

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
                origins: HashMap::new(),
                ages: BTreeMap::new(),
                next_age: 0,
                distrusted: HashMap::new(),
                sweeping: None,
            }),
        }))
    }

    /// Takes the newest connection to `origin` that is quiet, for a request that
    /// can be sent again if the connection breaks.
    pub(crate) fn take(&self, origin: &Origin) -> Option<C> {
        loop {
            let connection = self.0.state().take_newest(origin)?;
            if self.is_quiet(origin, &connection) {
                return Some(connection);
            }
        }
    }

    /// The same for a request that must not be sent twice: only if the origin is
    /// known to keep its connections, which the one that is taken may be the first
    /// to show.
    pub(crate) fn take_proven(&self, origin: &Origin) -> Option<C> {
        let now = Instant::now();
        loop {
            let connection = self.0.state().take_proven(origin, now)?;
            if self.is_quiet(origin, &connection) {
                self.0.state().note(origin, true);
                return Some(connection);
            }
        }
    }

    /// Notes that a kept connection broke under a request.
    pub(crate) fn broke(&self, origin: &Origin) {
        self.0.state().note(origin, false);
    }

    /// Asks the system, and so outside of the lock.
    fn is_quiet(&self, origin: &Origin, connection: &C) -> bool {
        let quiet = connection.quiet();
        if quiet == Quiet::Unasked {
            self.distrust(origin);
        }
        quiet == Quiet::Yes
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

impl<C: Keep> State<C> {
    /// Adds a connection, and returns the oldest of its origin if there were as
    /// many as there may be.
    fn insert(
        &mut self,
        origin: Origin,
        connection: C,
        since: Instant,
        limits: Limits,
    ) -> Option<Idle<C>> {
        // Those without a connection stay for a while, for what is known of them.
        if self.origins.len() > 2 * limits.total {
            self.origins.retain(|_, known| !known.idle.is_empty());
        }
        let age = self.next_age;
        self.next_age += 1;
        self.ages.insert(age, origin.clone());
        let known = self.origins.entry(origin).or_insert_with(|| Known {
            idle: VecDeque::new(),
            keeps: false,
        });
        known.keeps |= connection.was_reused();
        let evicted = if known.idle.len() >= limits.per_origin {
            known.idle.pop_front()
        } else {
            None
        };
        known.idle.push_back(Idle {
            connection,
            age,
            since,
        });
        if let Some(evicted) = &evicted {
            self.ages.remove(&evicted.age);
        }
        evicted
    }

    fn take_proven(&mut self, origin: &Origin, now: Instant) -> Option<C> {
        let known = self.origins.get_mut(origin)?;
        if known.keeps {
            return self.take_newest(origin);
        }
        let taken = known
            .idle
            .pop_front_if(|oldest| oldest.since + PROOF <= now)?;
        self.ages.remove(&taken.age);
        Some(taken.connection)
    }

    fn note(&mut self, origin: &Origin, keeps: bool) {
        if let Some(known) = self.origins.get_mut(origin) {
            known.keeps = keeps;
        }
    }
}

impl<C> State<C> {
    fn take_newest(&mut self, origin: &Origin) -> Option<C> {
        let taken = self.origins.get_mut(origin)?.idle.pop_back()?;
        self.ages.remove(&taken.age);
        Some(taken.connection)
    }

    fn take_oldest(&mut self) -> Option<C> {
        let (_, origin) = self.ages.pop_first()?;
        let taken = self.origins.get_mut(&origin)?.idle.pop_front()?;
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
        Some(self.origins.get(origin)?.idle.front()?.since)
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
        state.origins.clear();
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
#[path = "pool/tests.rs"]
mod tests;
