//! Requests, failures and durations of each host, for people who look for the slow and the
//! failing ones. The operator has to turn this on, since the names of hosts may be
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
/// for the longest time are forgotten, and start at 0 if they come back.
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
    pub(crate) requests: u64,
    /// How many of the requests failed, or got a 5xx status.
    pub(crate) failures: u64,
    pub(crate) mean: Duration,
    pub(crate) max: Duration,
}

/// The hosts to look at first, as of one moment.
pub(crate) struct HostRanking {
    /// How many hosts have statistics.
    pub(crate) tracked: usize,
    /// How many times a host was forgotten to make room for another one.
    pub(crate) forgotten: u64,
    /// The hosts with the longest mean duration.
    pub(crate) slowest: Vec<HostSummary>,
    /// The hosts with the most failures.
    pub(crate) failing: Vec<HostSummary>,
}

/// A request to a host. It counts when this is dropped, if it has ended by then.
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
    forgotten: u64,
}

struct Tracked {
    host: Arc<Host>,
    last_request: Instant,
}

/// One minute each, reused after [`MINUTES`].
#[derive(Default)]
struct Host(Mutex<[Minute; MINUTES]>);

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

/// How many hosts to forget at a time. Looking for the oldest one at each request would
/// take as long as the rest of the request if every host is new.
const FORGOTTEN_AT_ONCE: usize = MAX_HOSTS / 8;

/// How many minutes the statistics cover, including the current one.
const MINUTES: usize = 15;

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
        HostRequest {
            stats: self.clone(),
            host: self.0.table.lock().host(name, now),
            dispatched: now,
            is_failing: false,
            result: None,
        }
    }

    /// Returns the number of the minute that `instant` is in.
    fn minute(&self, instant: Instant) -> u64 {
        instant.duration_since(self.0.started).as_secs() / 60
    }

    /// Returns the `most` slowest hosts, and the `most` that failed most often.
    pub(crate) fn ranking(&self, most: usize) -> HostRanking {
        let now = self.minute(Instant::now());
        let table = self.0.table.lock();
        let hosts = table.hosts.iter();
        let mut hosts: Vec<_> = hosts
            .filter_map(|(name, tracked)| tracked.host.sum(name, now))
            .collect();
        let (tracked, forgotten) = (hosts.len(), table.forgotten);
        drop(table);
        // By name as well, so that hosts that are equal don't swap places.
        hosts.sort_by(|a, b| (b.mean, &a.host).cmp(&(a.mean, &b.host)));
        let slowest = hosts.iter().take(most).cloned().collect();
        hosts.retain(|host| host.failures > 0);
        hosts.sort_by_key(|host| Reverse(host.failures));
        hosts.truncate(most);
        HostRanking {
            tracked,
            forgotten,
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
        if let Some((is_failure, total)) = self.result {
            // It costs less than another look at the clock.
            let minute = self.stats.minute(self.dispatched + total);
            self.host.count(minute, is_failure, total);
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
            self.forget_some();
        }
        let host = Arc::<Host>::default();
        let tracked = Tracked {
            host: Arc::clone(&host),
            last_request: now,
        };
        self.hosts.insert(name.into(), tracked);
        host
    }

    /// Forgets the hosts that had no request for the longest time.
    fn forget_some(&mut self) {
        let mut requests: Vec<_> = self.hosts.values().map(|host| host.last_request).collect();
        let (_, newest, _) = requests.select_nth_unstable(FORGOTTEN_AT_ONCE - 1);
        let newest = *newest;
        let before = self.hosts.len();
        self.hosts.retain(|_, host| host.last_request > newest);
        self.forgotten += (before - self.hosts.len()) as u64;
    }
}

impl Host {
    /// Counts a request that ended in minute `now`. What's left of an older minute in the
    /// same place is dropped.
    fn count(&self, now: u64, is_failure: bool, total: Duration) {
        let mut minutes = self.0.lock();
        let place = usize::try_from(now % MINUTES as u64).unwrap_or_default();
        let minute = &mut minutes[place];
        if minute.number != now {
            *minute = Minute {
                number: now,
                ..Minute::default()
            };
        }
        minute.count(is_failure, total);
    }

    /// Sums up the minutes until `now`. Returns `None` if there were no requests.
    fn sum(&self, name: &str, now: u64) -> Option<HostSummary> {
        let is_recent = |minute: &&Minute| now.saturating_sub(minute.number) < MINUTES as u64;
        let minutes = *self.0.lock();
        let mut sum = Minute::default();
        for minute in minutes.iter().filter(is_recent) {
            sum.requests += minute.requests;
            sum.failures += minute.failures;
            sum.total += minute.total;
            sum.max = sum.max.max(minute.max);
        }
        (sum.requests > 0).then(|| HostSummary {
            host: name.to_owned(),
            requests: sum.requests,
            failures: sum.failures,
            mean: sum.total / u32::try_from(sum.requests).unwrap_or(u32::MAX),
            max: sum.max,
        })
    }
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
        assert_eq!((ranking.tracked, ranking.forgotten), (4, 0));
        assert_eq!(names(&ranking.slowest), ["slow", "fine"]);
        assert_eq!(names(&ranking.failing), ["worse", "failing"]);
        let slow = HostSummary {
            host: "slow".to_owned(),
            requests: 2,
            failures: 0,
            mean: Duration::from_millis(500),
            max: Duration::from_millis(900),
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

    #[tokio::test(start_paused = true)]
    async fn hosts_without_requests_for_the_longest_time_are_forgotten() {
        let stats = HostStats::new();
        record(&stats, "kept", true, 1);
        record(&stats, "forgotten", true, 1);
        for host in 0..MAX_HOSTS - 1 {
            time::advance(Duration::from_millis(1)).await;
            record(&stats, "kept", true, 1);
            record(&stats, &format!("host-{host}"), false, 1);
        }
        let ranking = stats.ranking(10);
        assert_eq!(ranking.forgotten, FORGOTTEN_AT_ONCE as u64);
        assert_eq!(ranking.tracked, MAX_HOSTS + 1 - FORGOTTEN_AT_ONCE);
        assert_eq!(names(&ranking.failing), ["kept"]);
        assert_eq!(ranking.failing[0].failures, MAX_HOSTS as u64);
    }
}
