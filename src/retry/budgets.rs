//! Retry budgets. There's one for each caller and host.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use http::uri::Authority;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::{caller::Caller, request::Request};

/// All budgets in use. If there are too many, we evict the oldest one.
pub(super) struct Budgets {
    state: Mutex<State>,
    hasher: RandomState,
    /// How many retries were denied.
    denied: AtomicU64,
}

#[derive(Default)]
struct State {
    /// We use a tree here because the keys are hashes already, so hashing them again
    /// would be pointless.
    budgets: BTreeMap<Key, Budget>,
    /// All keys, oldest first.
    order: VecDeque<Key>,
}

/// A hash of the caller and the host name. The name itself may be long, so we don't keep
/// it. If two pairs happen to have the same hash, they share a budget.
type Key = u64;

/// The budget of one caller at one host: 10 retries per second, plus a fifth of its
/// requests.
#[derive(Clone)]
pub(crate) struct Budget(Arc<Account>);

struct Account {
    retries: TpsBudget,
    /// When the last retry was denied.
    denied_at: Mutex<Option<Instant>>,
}

/// How many budgets there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct BudgetCounts {
    /// Budgets that have denied no retry within the last 10 s.
    pub(crate) available: usize,
    /// Budgets that have. tower's budget doesn't tell its balance, so we don't know about
    /// budgets that are used up while no retry is needed.
    pub(crate) exhausted: usize,
    /// How many retries were denied so far, by budgets evicted since too.
    pub(crate) denied: u64,
}

/// How many retries each request adds to the budget.
const SHARE: f32 = 0.2;
/// This many retries per second are always allowed, no matter how few requests there are.
const PER_SECOND: u32 = 10;
/// Requests older than this don't count any more. A budget that has denied a retry counts as
/// exhausted for as long.
const WINDOW: Duration = Duration::from_secs(10);

/// The maximum number of budgets, which take less than 2 MiB altogether. If there are
/// more, the oldest one is evicted. It starts all over when it's needed again.
const MAX_BUDGETS: usize = 4096;

impl Budgets {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            hasher: RandomState::new(),
            denied: AtomicU64::new(0),
        }
    }

    /// Returns the budget for `caller` at the host that `request` goes to.
    pub(super) fn budget(&self, caller: Caller, request: &Request) -> Budget {
        let host = request.uri.authority().map(Authority::as_str);
        let key = self.hasher.hash_one((caller, host));
        let mut state = self.state.lock();
        if let Some(budget) = state.budgets.get(&key) {
            return budget.clone();
        }
        if state.order.len() >= MAX_BUDGETS
            && let Some(oldest) = state.order.pop_front()
        {
            state.budgets.remove(&oldest);
        }
        let budget = Budget(Arc::new(Account {
            retries: TpsBudget::new(WINDOW, PER_SECOND, SHARE),
            denied_at: Mutex::default(),
        }));
        state.order.push_back(key);
        state.budgets.insert(key, budget.clone());
        budget
    }

    /// Counts a retry that its budget has denied.
    pub(super) fn count_denied(&self) {
        self.denied.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns how many budgets there are.
    pub(super) fn counts(&self) -> BudgetCounts {
        let state = self.state.lock();
        let budgets = state.budgets.values();
        let exhausted = budgets.filter(|budget| budget.is_exhausted()).count();
        BudgetCounts {
            available: state.budgets.len() - exhausted,
            exhausted,
            denied: self.denied.load(Ordering::Relaxed),
        }
    }
}

impl Budget {
    /// Counts a request. This adds to the budget.
    pub(crate) fn count_request(&self) {
        self.0.retries.deposit();
    }

    /// Takes one retry out of the budget. Returns false if there's nothing left.
    #[must_use]
    pub(super) fn withdraw(&self) -> bool {
        let is_allowed = self.0.retries.withdraw();
        if !is_allowed {
            *self.0.denied_at.lock() = Some(Instant::now());
        }
        is_allowed
    }

    fn is_exhausted(&self) -> bool {
        let denied_at = *self.0.denied_at.lock();
        denied_at.is_some_and(|denied_at| denied_at.elapsed() < WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::time;

    use super::*;

    fn caller(last: u8) -> Caller {
        Caller::at(Some(SocketAddr::from(([127, 0, 0, last], 1))))
    }

    fn request(host: usize) -> Request {
        Request::new(&format!("http://{host}.test/"), "").unwrap()
    }

    fn use_up(budget: &Budget) -> usize {
        std::iter::from_fn(|| budget.withdraw().then_some(())).count()
    }

    #[tokio::test(start_paused = true)]
    async fn retries_are_a_share_of_requests() {
        let budgets = Budgets::new();
        let budget = budgets.budget(caller(1), &request(0));
        let few = use_up(&budget);
        assert!(few <= 110, "{few} without any request");
        (0..10_000).for_each(|_| budget.count_request());
        let many = use_up(&budget);
        assert!(
            (1_900..=2_100).contains(&many),
            "{many} for 10,000 requests"
        );
        assert_eq!(use_up(&budgets.budget(caller(1), &request(0))), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn callers_and_hosts_have_budgets_of_their_own() {
        let budgets = Budgets::new();
        let full = use_up(&budgets.budget(caller(1), &request(0)));
        assert_eq!(use_up(&budgets.budget(caller(2), &request(0))), full);
        assert_eq!(use_up(&budgets.budget(caller(1), &request(1))), full);
    }

    #[tokio::test(start_paused = true)]
    async fn budget_is_exhausted_for_a_while_after_it_has_denied_a_retry() {
        let budgets = Budgets::new();
        let counts = |available, exhausted| BudgetCounts {
            available,
            exhausted,
            denied: 0,
        };
        assert_eq!(budgets.counts(), counts(0, 0));
        let budget = budgets.budget(caller(1), &request(0));
        let _other = budgets.budget(caller(2), &request(0));
        assert_eq!(budgets.counts(), counts(2, 0));
        use_up(&budget);
        assert_eq!(budgets.counts(), counts(1, 1));
        time::advance(WINDOW).await;
        assert_eq!(budgets.counts(), counts(2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn number_of_budgets_is_bounded() {
        let budgets = Budgets::new();
        for host in 0..2 * MAX_BUDGETS {
            let _ = budgets.budget(caller(1), &request(host));
        }
        let state = budgets.state.lock();
        assert_eq!(
            (state.budgets.len(), state.order.len()),
            (MAX_BUDGETS, MAX_BUDGETS)
        );
    }
}
