//! Requests, failures and durations of each host, for people who look for the slow and the
//! failing ones. Requests in flight count with their age, since an origin that hangs doesn't
//! end any. The operator has to turn this on, since the names of hosts may be
//! confidential.

use std::{cmp::Reverse, collections::HashMap, sync::Arc, time::Duration};

use http::{StatusCode, Uri};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::response::End;

/// The statistics of the hosts that had requests most recently. Cheap to clone; all
/// clones share them.
///
/// There's room for [`MAX_HOSTS`] hosts. If there's another one, those that had no request
/// for the longest time are evicted, and start at 0 if they come back.
#[derive(Clone)]
pub(crate) struct HostStats(Arc<Shared>);

struct Shared {
    table: Mutex<Table>,
    started: Instant,
}

/// The requests of one host within the last 15 minutes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostSummary {
    pub(crate) host: String,
    pub(crate) in_flight: u64,
    /// The mean duration of the requests that ended in this minute or the previous one, and
    /// of those in flight, as far as they have got. `None` if there are none.
    pub(crate) recent_mean: Option<Duration>,
    /// How many requests have ended.
    pub(crate) requests: u64,
    /// How many of these failed, or got a 5xx status.
    pub(crate) failures: u64,
    /// `None` if no request has ended.
    pub(crate) mean: Option<Duration>,
    /// `None` if no request has ended.
    pub(crate) max: Option<Duration>,
}

/// The hosts to look at first, as of one moment.
pub(crate) struct HostRanking {
    /// How many hosts have statistics.
    pub(crate) tracked: usize,
    /// How many times a host was evicted to make room for another one.
    pub(crate) evicted: u64,
    /// The hosts with the longest recent mean duration.
    pub(crate) slowest: Vec<HostSummary>,
    /// The hosts with the most failures.
    pub(crate) failing: Vec<HostSummary>,
}

/// A request to a host. It's in flight until this is dropped, and counts then if it has
/// ended.
pub(super) struct HostRequest {
    stats: HostStats,
    host: Arc<Host>,
    dispatched: Instant,
    /// Whether the response has a 5xx status.
    is_failing: bool,
    /// Whether it failed, and how long it took. `None` if it hasn't ended.
    result: Option<(bool, Duration)>,
}

#[derive(Default)]
struct Table {
    hosts: HashMap<Box<str>, Tracked>,
    evicted: u64,
}

struct Tracked {
    host: Arc<Host>,
    last_request: Instant,
}

#[derive(Default)]
struct Host(Mutex<Requests>);

/// The requests of one host.
#[derive(Clone, Copy, Default)]
struct Requests {
    in_flight: u64,
    /// The sum of the times at which those in flight were dispatched, since the start of the
    /// statistics. Together with their number, it says how old they are on average.
    dispatched: Duration,
    /// Those that ended, one minute each. A place is reused after [`MINUTES`].
    minutes: [Minute; MINUTES],
}

#[derive(Clone, Copy, Default)]
struct Minute {
    /// Which minute this is, counted from the start.
    number: u64,
    requests: u64,
    failures: u64,
    total: Duration,
    max: Duration,
}

/// How many hosts have statistics. A name has up to 253 bytes, so all of them together
/// take less than 1 MiB.
pub(crate) const MAX_HOSTS: usize = 512;

/// How many hosts to evict at a time. Looking for the oldest one at each request would
/// take as long as the rest of the request if every host is new.
const EVICTED_AT_ONCE: usize = MAX_HOSTS / 8;

/// How many minutes the statistics cover, including the current one.
const MINUTES: usize = 15;

/// How many minutes the recent mean covers, including the current one.
const RECENT_MINUTES: usize = 2;

impl HostStats {
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            table: Mutex::default(),
            started: Instant::now(),
        }))
    }

    /// Starts a request to the host of `uri`, which is a name in lower case or an address.
    /// It's dispatched `now`.
    pub(super) fn request(&self, uri: &Uri, now: Instant) -> HostRequest {
        let name = uri.host().unwrap_or_default();
        let host = self.0.table.lock().host(name, now);
        host.0.lock().enter(self.since_start(now));
        HostRequest {
            stats: self.clone(),
            host,
            dispatched: now,
            is_failing: false,
            result: None,
        }
    }

    fn since_start(&self, instant: Instant) -> Duration {
        instant.duration_since(self.0.started)
    }

    /// Returns the `most` slowest hosts, and the `most` that failed most often.
    pub(crate) fn ranking(&self, most: usize) -> HostRanking {
        let now = self.since_start(Instant::now());
        let table = self.0.table.lock();
        let hosts = table.hosts.iter();
        let mut hosts: Vec<_> = hosts
            .filter_map(|(name, tracked)| tracked.host.0.lock().summary(name, now))
            .collect();
        let (tracked, evicted) = (hosts.len(), table.evicted);
        drop(table);
        // By name as well, so that hosts that are equal don't swap places.
        hosts.sort_by(|a, b| {
            let (slower, faster) = ((b.recent_mean, b.mean), (a.recent_mean, a.mean));
            (slower, &a.host).cmp(&(faster, &b.host))
        });
        let slowest = hosts.iter().take(most).cloned().collect();
        hosts.retain(|host| host.failures > 0);
        hosts.sort_by_key(|host| Reverse(host.failures));
        hosts.truncate(most);
        HostRanking {
            tracked,
            evicted,
            slowest,
            failing: hosts,
        }
    }
}

impl HostRequest {
    /// Records the status of the response.
    pub(super) fn note_status(&mut self, status: StatusCode) {
        self.is_failing = status.is_server_error();
    }

    /// Records the end of the request. If there's another end after all, it counts instead.
    pub(super) fn end(&mut self, end: &End) {
        let is_failure = self.is_failing || end.error.is_some();
        self.result = end.timing.total.map(|total| (is_failure, total));
    }
}

impl Drop for HostRequest {
    fn drop(&mut self) {
        let dispatched = self.stats.since_start(self.dispatched);
        let mut requests = self.host.0.lock();
        requests.leave(dispatched);
        if let Some((is_failure, total)) = self.result {
            // The sum costs less than another look at the clock.
            requests.count(minute(dispatched + total), is_failure, total);
        }
    }
}

impl Table {
    /// Returns the host with this name, because there's a request to it `now`.
    fn host(&mut self, name: &str, now: Instant) -> Arc<Host> {
        if let Some(tracked) = self.hosts.get_mut(name) {
            tracked.last_request = now;
            return Arc::clone(&tracked.host);
        }
        if self.hosts.len() >= MAX_HOSTS {
            self.evict_some();
        }
        let host = Arc::<Host>::default();
        let tracked = Tracked {
            host: Arc::clone(&host),
            last_request: now,
        };
        self.hosts.insert(name.into(), tracked);
        host
    }

    /// Evicts the hosts that had no request for the longest time.
    fn evict_some(&mut self) {
        let mut requests: Vec<_> = self.hosts.values().map(|host| host.last_request).collect();
        let (_, newest, _) = requests.select_nth_unstable(EVICTED_AT_ONCE - 1);
        let newest = *newest;
        let before = self.hosts.len();
        self.hosts.retain(|_, host| host.last_request > newest);
        self.evicted += (before - self.hosts.len()) as u64;
    }
}

/// Returns the number of the minute that's this long after the start.
fn minute(since_start: Duration) -> u64 {
    since_start.as_secs() / 60
}

impl Requests {
    fn enter(&mut self, dispatched: Duration) {
        self.in_flight += 1;
        self.dispatched += dispatched;
    }

    fn leave(&mut self, dispatched: Duration) {
        self.in_flight -= 1;
        self.dispatched -= dispatched;
    }

    /// Counts a request that ended in minute `now`. What's left of an older minute in the
    /// same place is dropped.
    fn count(&mut self, now: u64, is_failure: bool, total: Duration) {
        let place = usize::try_from(now % MINUTES as u64).unwrap_or_default();
        let minute = &mut self.minutes[place];
        if minute.number != now {
            *minute = Minute {
                number: now,
                ..Minute::default()
            };
        }
        minute.count(is_failure, total);
    }

    /// Sums up the requests until `now`. Returns `None` if there were none.
    fn summary(&self, name: &str, now: Duration) -> Option<HostSummary> {
        let all = self.last(MINUTES, now);
        let recent = self.last(RECENT_MINUTES, now);
        // A request may have been dispatched after `now`.
        let age = (now * count(self.in_flight)).saturating_sub(self.dispatched);
        (all.requests + self.in_flight > 0).then(|| HostSummary {
            host: name.to_owned(),
            in_flight: self.in_flight,
            recent_mean: mean(recent.total + age, recent.requests + self.in_flight),
            requests: all.requests,
            failures: all.failures,
            mean: mean(all.total, all.requests),
            max: (all.requests > 0).then_some(all.max),
        })
    }

    /// Sums up the requests that ended in the last `minutes`.
    fn last(&self, minutes: usize, now: Duration) -> Minute {
        let now = minute(now);
        let is_recent = |minute: &&Minute| now.saturating_sub(minute.number) < minutes as u64;
        let mut sum = Minute::default();
        for minute in self.minutes.iter().filter(is_recent) {
            sum.requests += minute.requests;
            sum.failures += minute.failures;
            sum.total += minute.total;
            sum.max = sum.max.max(minute.max);
        }
        sum
    }
}

fn mean(total: Duration, requests: u64) -> Option<Duration> {
    total.checked_div(count(requests))
}

/// Returns `requests` as a factor of durations. There are never this many.
fn count(requests: u64) -> u32 {
    u32::try_from(requests).unwrap_or(u32::MAX)
}

impl Minute {
    fn count(&mut self, is_failure: bool, total: Duration) {
        self.requests += 1;
        self.failures += u64::from(is_failure);
        self.total += total;
        self.max = self.max.max(total);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    fn record(stats: &HostStats, host: &str, is_failure: bool, ms: u64) {
        let uri = format!("http://{host}/").parse().unwrap();
        let total = Duration::from_millis(ms);
        let mut request = stats.request(&uri, Instant::now() - total);
        if is_failure {
            request.note_status(StatusCode::BAD_GATEWAY);
        }
        let mut end = End::default();
        // Only the last end counts.
        request.end(&end);
        end.timing.total = Some(total);
        request.end(&end);
    }

    fn names(hosts: &[HostSummary]) -> Vec<&str> {
        hosts.iter().map(|host| host.host.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_ranked_by_their_last_15_minutes() {
        let stats = HostStats::new();
        record(&stats, "slow", false, 900);
        record(&stats, "slow", false, 100);
        record(&stats, "failing", true, 11);
        record(&stats, "worse", true, 10);
        record(&stats, "worse", true, 10);
        record(&stats, "fine", false, 20);
        let ranking = stats.ranking(2);
        assert_eq!((ranking.tracked, ranking.evicted), (4, 0));
        assert_eq!(names(&ranking.slowest), ["slow", "fine"]);
        assert_eq!(names(&ranking.failing), ["worse", "failing"]);
        let slow = HostSummary {
            host: "slow".to_owned(),
            in_flight: 0,
            recent_mean: Some(Duration::from_millis(500)),
            requests: 2,
            failures: 0,
            mean: Some(Duration::from_millis(500)),
            max: Some(Duration::from_millis(900)),
        };
        assert_eq!(ranking.slowest[0], slow);
        time::advance(Duration::from_mins(14)).await;
        record(&stats, "slow", false, 30);
        assert_eq!(stats.ranking(2).slowest[0].requests, 3);
        time::advance(Duration::from_mins(1)).await;
        let ranking = stats.ranking(2);
        assert_eq!(
            (ranking.tracked, names(&ranking.slowest)),
            (1, vec!["slow"])
        );
        assert_eq!(ranking.slowest[0].requests, 1);
        assert!(ranking.failing.is_empty());
    }

    fn start(stats: &HostStats, host: &str) -> HostRequest {
        let uri = format!("http://{host}/").parse().unwrap();
        stats.request(&uri, Instant::now())
    }

    #[tokio::test(start_paused = true)]
    async fn requests_in_flight_count_with_their_age() {
        let stats = HostStats::new();
        time::advance(Duration::from_secs(5)).await;
        record(&stats, "slow", false, 900);
        for _ in 0..8 {
            record(&stats, "hangs", false, 100);
        }
        assert_eq!(names(&stats.ranking(2).slowest), ["slow", "hangs"]);
        let first = start(&stats, "hangs");
        time::advance(Duration::from_secs(4)).await;
        let second = start(&stats, "hangs");
        let never_answers = start(&stats, "new");
        time::advance(Duration::from_secs(8)).await;
        let ranking = stats.ranking(3);
        assert_eq!(names(&ranking.slowest), ["new", "hangs", "slow"]);
        let [new, hangs, _] = ranking.slowest.try_into().unwrap();
        assert_eq!((new.in_flight, new.requests, new.mean), (1, 0, None));
        assert_eq!(new.recent_mean, Some(Duration::from_secs(8)));
        // 12 s and 8 s in flight, and 8 times 100 ms.
        assert_eq!((hangs.in_flight, hangs.requests), (2, 8));
        assert_eq!(hangs.recent_mean, Some(Duration::from_millis(2_080)));
        assert_eq!(hangs.mean, Some(Duration::from_millis(100)));
        // Cancelled requests only leave.
        drop((first, second, never_answers));
        let ranking = stats.ranking(3);
        assert_eq!(names(&ranking.slowest), ["slow", "hangs"]);
        let hangs = &ranking.slowest[1];
        assert_eq!((hangs.in_flight, hangs.requests), (0, 8));
        assert_eq!(hangs.recent_mean, hangs.mean);
    }

    #[tokio::test(start_paused = true)]
    async fn recent_mean_is_that_of_two_minutes() {
        let stats = HostStats::new();
        for _ in 0..100 {
            record(&stats, "a", false, 10);
        }
        time::advance(Duration::from_mins(2)).await;
        assert_eq!(stats.ranking(1).slowest[0].recent_mean, None);
        record(&stats, "a", false, 700);
        time::advance(Duration::from_mins(1)).await;
        record(&stats, "a", false, 300);
        let recent_mean = stats.ranking(1).slowest[0].recent_mean;
        assert_eq!(recent_mean, Some(Duration::from_millis(500)));
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_without_requests_for_the_longest_time_are_evicted() {
        let stats = HostStats::new();
        record(&stats, "kept", true, 1);
        record(&stats, "evicted", true, 1);
        for host in 0..MAX_HOSTS - 1 {
            time::advance(Duration::from_millis(1)).await;
            record(&stats, "kept", true, 1);
            record(&stats, &format!("host-{host}"), false, 1);
        }
        let ranking = stats.ranking(10);
        assert_eq!(ranking.evicted, EVICTED_AT_ONCE as u64);
        assert_eq!(ranking.tracked, MAX_HOSTS + 1 - EVICTED_AT_ONCE);
        assert_eq!(names(&ranking.failing), ["kept"]);
        assert_eq!(ranking.failing[0].failures, MAX_HOSTS as u64);
    }
}
