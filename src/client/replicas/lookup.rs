//! Looks up service names.

use std::{collections::HashSet, fmt, net::SocketAddr, time::Duration};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, join_all},
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::target::Target;

/// Repeats the look-up of a service's names.
///
/// All lists and requests share one look-up, and any of them can complete it. Otherwise
/// requests that take less time than a look-up would only ever begin one.
pub(super) struct Lookup {
    targets: Vec<Target>,
    state: Mutex<State>,
}

struct State {
    /// When the last complete look-up was started.
    last: Instant,
    running: Option<Running>,
}

#[derive(Clone)]
struct Running {
    since: Instant,
    found: Shared<BoxFuture<'static, Found>>,
}

/// The addresses found for each URL. `None` if the look-up has failed.
pub(super) type Found = Vec<Option<HashSet<SocketAddr>>>;

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lookup = f.debug_struct("Lookup");
        lookup
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

impl Lookup {
    /// Creates the look-up for `targets`, which were looked up just now.
    pub(super) fn new(targets: Vec<Target>) -> Self {
        let state = State {
            last: Instant::now(),
            running: None,
        };
        Self {
            targets,
            state: Mutex::new(state),
        }
    }

    pub(super) fn targets(&self) -> &[Target] {
        &self.targets
    }

    /// When to look up the names next, if we do so once in `interval`. `None` if there are
    /// no names.
    pub(super) fn due(&self, interval: Duration) -> Option<Instant> {
        let has_names = !self.targets.is_empty();
        has_names.then(|| self.state.lock().last + interval)
    }

    /// Looks up the names. Returns `None` if someone else has already got the result.
    ///
    /// Cancel-safe: the next call continues the look-up.
    pub(super) async fn run(&self) -> Option<Found> {
        let running = self.start();
        let found = running.found.clone().await;
        let mut state = self.state.lock();
        let is_current = |one: &Running| one.found.ptr_eq(&running.found);
        if !state.running.as_ref().is_some_and(is_current) {
            return None;
        }
        state.running = None;
        state.last = running.since;
        Some(found)
    }

    /// Starts a look-up, unless one is running.
    fn start(&self) -> Running {
        let mut state = self.state.lock();
        let start = || Running {
            since: Instant::now(),
            found: look_up(self.targets.clone()).boxed().shared(),
        };
        state.running.get_or_insert_with(start).clone()
    }
}

/// Looks up all names.
pub(super) async fn look_up(targets: Vec<Target>) -> Found {
    join_all(targets.iter().map(Target::resolve)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Builder;

    fn lookup() -> Lookup {
        let target = Target::parse("http://localhost:1", &Builder::default());
        Lookup::new(vec![target.unwrap()])
    }

    #[tokio::test]
    async fn dropped_look_up_is_continued_by_the_next_list() {
        let lookup = lookup();
        assert!(lookup.run().now_or_never().is_none());
        let since = lookup.start().since;
        let found = lookup.run().await.unwrap();
        assert!(found[0].is_some());
        assert_eq!(lookup.due(Duration::ZERO), Some(since));
        assert!(lookup.state.lock().running.is_none());
    }

    #[tokio::test]
    async fn only_one_list_gets_the_addresses() {
        let lookup = lookup();
        let (one, other) = tokio::join!(lookup.run(), lookup.run());
        assert!(one.is_some() != other.is_some());
    }
}
