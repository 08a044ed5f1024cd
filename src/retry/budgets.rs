//! Retry budgets. There's one for each caller and host.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use http::uri::Authority;
use parking_lot::Mutex;
use tower::retry::budget::{Budget as _, TpsBudget};

use crate::{caller::Caller, request::Request};

/// All budgets in use. If there are too many, we evict the oldest one.
pub(super) struct Budgets {
    state: Mutex<State>,
    hasher: RandomState,
}

#[derive(Default)]
struct State {
    /// We use a tree here because the keys are hashes already, so hashing them again
    /// would be pointless.
    budgets: BTreeMap<Key, Arc<TpsBudget>>,
    /// All keys, oldest first.
    order: VecDeque<Key>,
}

/// A hash of the caller and the host name. The name itself may be long, so we don't keep
/// it. If two pairs happen to have the same hash, they share a budget.
type Key = u64;

/// The budget of one caller at one host: 10 retries per second, plus a fifth of its
/// requests.
pub(crate) struct Budget(Arc<TpsBudget>);

/// How many retries each request adds to the budget.
const SHARE: f32 = 0.2;
/// This many retries per second are always allowed, no matter how few requests there are.
const PER_SECOND: u32 = 10;
/// Requests older than this don't count any more.
const WINDOW: Duration = Duration::from_secs(10);

/// The maximum number of budgets, which take less than 2 MiB altogether. If there are
/// more, the oldest one is evicted. It starts all over when it's needed again.
const MAX_BUDGETS: usize = 4096;

impl Budgets {
    pub(super) fn new() -> Self {
        Self {
            state: Mutex::default(),
            hasher: RandomState::new(),
        }
    }

    /// Returns the budget for `caller` at the host that `request` goes to.
    pub(super) fn budget(&self, caller: Caller, request: &Request) -> Budget {
        let host = request.uri.authority().map(Authority::as_str);
        let key = self.hasher.hash_one((caller, host));
        let mut state = self.state.lock();
        if let Some(budget) = state.budgets.get(&key) {
            return Budget(Arc::clone(budget));
        }
        if state.order.len() >= MAX_BUDGETS
            && let Some(oldest) = state.order.pop_front()
        {
            state.budgets.remove(&oldest);
        }
        let budget = Arc::new(TpsBudget::new(WINDOW, PER_SECOND, SHARE));
        state.order.push_back(key);
        state.budgets.insert(key, Arc::clone(&budget));
        Budget(budget)
    }
}

impl Budget {
    /// Counts a request. This adds to the budget.
    pub(crate) fn count_request(&self) {
        self.0.deposit();
    }

    /// Takes one retry out of the budget. Returns false if there's nothing left.
    #[must_use]
    pub(super) fn withdraw(&self) -> bool {
        self.0.withdraw()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

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
