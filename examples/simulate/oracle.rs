//! What must hold in each run.
//!
//! The oracle knows more than the parties do: what an origin has received, and at once
//! which connections the service has given up.

use std::{collections::BTreeMap, net::IpAddr, sync::Arc, time::Duration};

use parking_lot::Mutex;

use crate::{
    ending::{Ending, Excuses},
    link::Link,
    timeline::Timeline,
};

/// Follows each request, and reports what must not happen.
#[derive(Debug)]
pub(crate) struct Oracle {
    timeline: Arc<Timeline>,
    limits: Limits,
    state: Mutex<State>,
}

/// The limits of a replica.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_in_flight: usize,
    /// 0 if there's none.
    pub(crate) max_per_host: usize,
    /// True if it may have no room for a batch or a connection.
    pub(crate) may_be_full: bool,
    /// True if it may be lost, and requests with it.
    pub(crate) may_be_lost: bool,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Request>,
    exchanges: BTreeMap<u64, Exchange>,
    violations: Vec<String>,
    /// Until when replicas that drain give their requests time.
    drain_ends: BTreeMap<IpAddr, Duration>,
    /// When the last fault was over.
    faults_ended: Option<Duration>,
    /// Since when a caller may be gone without its replica's knowledge.
    silent_since: Option<Duration>,
}

/// How long a client may still give up because no replica answers, once there's no fault any
/// more: 30 s without an answer have to pass, and a lost connection may be noticed late.
const GIVE_UP_BOUND: Duration = Duration::from_secs(70);

/// How long a request may still reach its origin once its caller has left or it has ended: until
/// the replica knows, which takes up to 402 ms if two packets are lost, then 100 ms, and up to
/// 460 ms on the way if that loses two.
const CANCEL_BOUND: Duration = Duration::from_millis(402 + 100 + 460);

/// How much longer a replica may work for a caller that has left without its knowledge: until
/// its keepalive fails, which takes 30 s, and a stall is noticed.
const CANCEL_BOUND_CUT: Duration = Duration::from_secs(75);

/// A list of requests.
#[derive(Debug, Default)]
pub(crate) struct List {
    /// How many of its requests may be in flight, if that's known.
    pub(crate) most_at_once: Option<usize>,
    /// True if results may be read long after their ends.
    pub(crate) is_read_late: bool,
    /// True if everything should be well again.
    pub(crate) is_after_all: bool,
    /// How long a request that has reached its origin may take to end.
    pub(crate) may_last: Duration,
}

/// A request of a caller.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    pub(crate) is_post: bool,
    /// The host of its URL.
    pub(crate) host: String,
    /// True if there's no reason to fail.
    pub(crate) must_succeed: bool,
    pub(crate) list: Arc<List>,
    pub(crate) executed: u32,
    /// The replica that has sent it last, and when it arrived.
    pub(crate) sent: Option<(IpAddr, Duration)>,
    pub(crate) ends: u32,
    /// The error with which it has ended, if that says that it was not executed.
    pub(crate) denial: Option<String>,
    pub(crate) was_redirected: bool,
    pub(crate) ended_at: Option<Duration>,
    /// Since when its caller doesn't wait for it any more.
    pub(crate) left_at: Option<Duration>,
}

/// A request that an origin has received.
#[derive(Debug)]
struct Exchange {
    id: usize,
    replica: IpAddr,
    link: Arc<Link>,
    /// Where the response ends in all bytes of the connection, once it's written.
    end: Option<u64>,
}

impl Oracle {
    pub(crate) fn new(timeline: Arc<Timeline>, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            timeline,
            limits,
            state: Mutex::default(),
        })
    }

    /// Registers a request. Returns its number, which its URL has to contain.
    pub(crate) fn expect(&self, request: Request) -> usize {
        let requests = &mut self.state.lock().requests;
        requests.push(request);
        requests.len() - 1
    }

    /// Records that all faults are over.
    pub(crate) fn no_more_faults(&self) {
        self.state.lock().faults_ended = Some(self.timeline.elapsed());
    }

    /// When all faults were over, if they are.
    pub(crate) fn faults_ended(&self) -> Option<Duration> {
        self.state.lock().faults_ended
    }

    /// Records that some machine neither sends nor receives, or not to all others.
    pub(crate) fn silent_fault(&self) {
        let now = self.timeline.elapsed();
        self.state.lock().silent_since.get_or_insert(now);
    }

    /// Records that a replica drains, and takes this long at most.
    pub(crate) fn drains(&self, replica: IpAddr, lasts: Duration) {
        let end = self.timeline.elapsed() + lasts;
        self.state.lock().drain_ends.insert(replica, end);
    }

    /// Records that something is wrong.
    pub(crate) fn report(&self, violation: impl Into<String>) {
        let violation = violation.into();
        self.timeline.add(format_args!("WRONG: {violation}"));
        self.state.lock().violations.push(violation);
    }

    /// Returns everything that was wrong.
    pub(crate) fn violations(&self) -> Vec<String> {
        self.state.lock().violations.clone()
    }

    /// Records that an origin has received a request over the new exchange `number`.
    pub(crate) fn received(&self, id: usize, number: u64, replica: IpAddr, link: &Arc<Link>) {
        self.timeline.add(format_args!(
            "request {id} reaches its origin from {replica}"
        ));
        let now = self.timeline.elapsed();
        let violations = self.state.lock().received(id, number, replica, link, now);
        for violation in violations.iter().chain(&self.over_limit(id, replica)) {
            self.report(violation);
        }
    }

    /// Records that an exchange ends after this many bytes of its connection. `None` if the
    /// origin has closed it.
    pub(crate) fn answered(&self, number: u64, end: Option<u64>) {
        let mut state = self.state.lock();
        match (end, state.exchanges.get_mut(&number)) {
            (Some(_), Some(exchange)) => exchange.end = end,
            _ => drop(state.exchanges.remove(&number)),
        }
    }

    /// Records that request `id` was not executed but sent on to another origin.
    pub(crate) fn redirected(&self, id: usize) {
        if let Some(request) = self.state.lock().requests.get_mut(id) {
            request.executed -= 1;
            request.was_redirected = true;
        }
    }

    /// Records that the caller doesn't wait for these requests any more.
    pub(crate) fn left(&self, ids: &[usize]) {
        let now = self.timeline.elapsed();
        let mut state = self.state.lock();
        for id in ids {
            state.requests[*id].left_at.get_or_insert(now);
        }
    }

    /// Checks how request `id` has ended.
    pub(crate) fn ended(&self, id: usize, ending: &Ending<'_>) {
        let name = ending.name();
        self.timeline.add(format_args!("request {id} ends: {name}"));
        let now = self.timeline.elapsed();
        let mut state = self.state.lock();
        let faults_ended = state.faults_ended;
        let is_settled = faults_ended.is_some_and(|ended| now > ended + GIVE_UP_BOUND);
        let may_be_cut = state.may_be_cut(id);
        let request = &mut state.requests[id];
        request.ends += 1;
        request.ended_at.get_or_insert(now);
        request.denial = ending.denial(request);
        let again = (request.ends > 1).then(|| format!("request {id} has ended twice"));
        let excuses = Excuses {
            may_be_lost: self.limits.may_be_lost && !is_settled || request.list.is_read_late,
            may_be_full: self.limits.may_be_full && !request.list.is_after_all,
            may_be_cut,
        };
        let problem = ending.problem(id, request, excuses);
        drop(state);
        for violation in again.into_iter().chain(problem) {
            self.report(violation);
        }
    }

    /// Checks that each of these requests has one end.
    pub(crate) fn check_complete(&self, ids: &[usize]) {
        let state = self.state.lock();
        let lost = ids.iter().filter(|id| state.requests[**id].ends == 0);
        let lost: Vec<_> = lost.copied().collect();
        drop(state);
        if !lost.is_empty() {
            self.report(format!("requests without an end: {lost:?}"));
        }
    }

    fn over_limit(&self, id: usize, replica: IpAddr) -> Option<String> {
        let state = self.state.lock();
        let host = &state.requests.get(id)?.host;
        let at_replica = state
            .exchanges
            .values()
            .filter(|one| one.replica == replica);
        let open: Vec<_> = at_replica.map(|one| one.id).collect();
        let at_host = open.iter().filter(|id| state.requests[**id].host == *host);
        let at_host: Vec<_> = at_host.copied().collect();
        let Limits {
            max_in_flight,
            max_per_host,
            ..
        } = self.limits;
        if open.len() > max_in_flight {
            return Some(format!(
                "{replica} has more than {max_in_flight} in flight: {open:?}"
            ));
        }
        let list = &state.requests[id].list;
        // Its caller may send another request as soon as it has left one.
        let of_list = |one: &&Exchange| {
            let request = &state.requests[one.id];
            Arc::ptr_eq(&request.list, list) && request.left_at.is_none()
        };
        let in_list = state.exchanges.values().filter(of_list);
        let in_list: Vec<_> = in_list.map(|one| one.id).collect();
        if list.most_at_once.is_some_and(|most| in_list.len() > most) {
            return Some(format!(
                "a list has more in flight than it wants: {in_list:?}"
            ));
        }
        (max_per_host > 0 && at_host.len() > max_per_host).then(|| {
            format!("{replica} has more than {max_per_host} in flight to {host}: {at_host:?}")
        })
    }
}

impl State {
    fn received(
        &mut self,
        id: usize,
        number: u64,
        replica: IpAddr,
        link: &Arc<Link>,
        now: Duration,
    ) -> Vec<String> {
        let Some(request) = self.requests.get_mut(id) else {
            return vec![format!("request {id} was received, but nobody has made it")];
        };
        let mut violations = Vec::new();
        request.executed += 1;
        request.sent = Some((replica, now));
        if request.is_post && request.executed > 1 {
            violations.push(format!("POST {id} was executed twice"));
        }
        if let Some(denial) = request.denial.as_ref().filter(|_| request.is_post) {
            violations.push(format!("POST {id} was sent after its end: {denial}"));
        }
        let late = match self.silent_since {
            Some(_) => CANCEL_BOUND_CUT,
            None => Duration::ZERO,
        };
        let over = request.ended_at.into_iter().chain(request.left_at).min();
        if over.is_some_and(|over| over + CANCEL_BOUND + late < now) {
            violations.push(format!(
                "request {id} was sent after its end, or after its caller had left"
            ));
        }
        self.exchanges.retain(|_, exchange| exchange.is_open());
        let exchange = Exchange {
            id,
            replica,
            link: Arc::clone(link),
            end: None,
        };
        // It may have given up while the request was on its way.
        if exchange.is_open() {
            self.exchanges.insert(number, exchange);
        }
        violations
    }

    /// Returns true if a drain may cut this request short: it was started so late that its
    /// timeout is longer than what was left of the drain.
    fn may_be_cut(&self, id: usize) -> bool {
        let request = &self.requests[id];
        let end_of = |replica| self.drain_ends.get(replica).copied();
        let started = request.sent.as_ref();
        let is_late = started.is_none_or(|(replica, at)| {
            end_of(replica).is_some_and(|end| end < *at + request.list.may_last)
        });
        is_late || self.silent_since.is_some()
    }
}

impl Exchange {
    /// Returns true if the replica must be holding a slot for it.
    fn is_open(&self) -> bool {
        !self.link.has_got(self.end)
    }
}
