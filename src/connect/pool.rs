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

mod distrust;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    hash::{Hash, Hasher},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use http::{Uri, uri::Authority};
use tokio::{
    task,
    time::{self, Instant},
};
use tokio_util::task::AbortOnDropHandle;

use distrust::Distrusted;

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
    /// Returns what there is to read from it.
    fn quiet(&mut self) -> Quiet;

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
    distrusted: Distrusted,
    /// Connections that are to be closed, a few at a time.
    doomed: Vec<C>,
    /// Closes what is too old or doomed, as long as there is anything.
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

/// How often the sweep looks at least, as long as there is anything to close.
const SWEEP: Duration = Duration::from_secs(1);

/// For how long an origin that sent unasked bytes is not trusted.
const DISTRUST: Duration = Duration::from_mins(5);

/// How many connections that ended are found before all of their origin count as
/// ended: asking the system about each takes time from others.
const MAX_ENDED: usize = 8;

/// How many connections are closed before others have a turn.
const CLOSED_AT_ONCE: usize = 32;

/// An origin that has this part of a full pool makes room in its own connections.
const LARGE_PART: usize = 8;

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
                distrusted: Distrusted::default(),
                doomed: Vec::new(),
                sweeping: None,
            }),
        }))
    }

    /// Takes the newest connection to `origin` that is quiet, for a request that
    /// can be sent again if the connection breaks.
    pub(crate) fn take(&self, origin: &Origin) -> Option<C> {
        self.take_quiet(origin, |state| state.take_newest(origin))
    }

    /// The same for a request that must not be sent twice: only if the origin is
    /// known to keep its connections, which the one that is taken may be the first
    /// to show.
    pub(crate) fn take_proven(&self, origin: &Origin) -> Option<C> {
        let now = Instant::now();
        let connection = self.take_quiet(origin, |state| state.take_proven(origin, now))?;
        self.0.state().note(origin, true);
        Some(connection)
    }

    fn take_quiet(&self, origin: &Origin, take: impl Fn(&mut State<C>) -> Option<C>) -> Option<C> {
        for _ in 0..MAX_ENDED {
            let mut connection = take(&mut self.0.state())?;
            if self.is_quiet(origin, &mut connection) {
                return Some(connection);
            }
        }
        self.0.state().doom(origin);
        None
    }

    /// Notes that a kept connection broke under a request.
    pub(crate) fn broke(&self, origin: &Origin) {
        self.0.state().note(origin, false);
    }

    /// Asks the system, and so outside of the lock.
    fn is_quiet(&self, origin: &Origin, connection: &mut C) -> bool {
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
        if limits.total == 0 || state.distrusted.has(&origin, now) {
            drop(state);
            return;
        }
        let is_full = state.ages.len() >= limits.total;
        let oldest = is_full.then(|| state.take_for_room(&origin, limits.total / LARGE_PART));
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
        let mut state = self.0.state();
        state.distrusted.add(origin, Instant::now() + DISTRUST);
        state.doom(origin);
    }

    /// Closes the oldest connection. False: there is none.
    pub(crate) fn evict(&self) -> bool {
        let oldest = self.0.state().take_oldest();
        oldest.is_some()
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

    /// Takes the connection that makes room for another to `origin`: its own oldest
    /// if it has more than `large` of them, so that it does not evict those of all
    /// others.
    fn take_for_room(&mut self, origin: &Origin, large: usize) -> Option<C> {
        let known = self.origins.get_mut(origin);
        let own = known.filter(|known| known.idle.len() > large.max(1));
        match own.and_then(|known| known.idle.pop_front()) {
            Some(oldest) => {
                self.ages.remove(&oldest.age);
                Some(oldest.connection)
            }
            None => self.take_oldest(),
        }
    }

    /// Lets all connections to `origin` be closed.
    fn doom(&mut self, origin: &Origin) {
        while let Some(connection) = self.take_newest(origin) {
            self.doomed.push(connection);
        }
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
            // Soon, for what is doomed meanwhile.
            Some(next) => time::sleep_until(next.min(Instant::now() + SWEEP)).await,
            None => return,
        }
        task::yield_now().await;
    }
}

/// Closes some of the connections that are doomed, or too old by `now`, and returns
/// when others will be. If none is left, the next one to be kept starts another
/// sweep.
fn close_old<C>(shared: &Shared<C>, now: Instant) -> Option<Instant> {
    let mut state = shared.state();
    let rest = state.doomed.len().saturating_sub(CLOSED_AT_ONCE);
    let mut closed = state.doomed.split_off(rest);
    let next = loop {
        match state.oldest().map(|since| since + shared.limits.idle) {
            Some(end) if end <= now && closed.len() < CLOSED_AT_ONCE => {
                closed.extend(state.take_oldest());
            }
            _ if !state.doomed.is_empty() => break Some(now),
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
