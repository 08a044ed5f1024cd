//! Requests, failures and durations of each host, for people who look for the slow and the
//! failing ones. The operator has to turn this on, since the names of hosts may be
//! confidential.

use std::{
    cmp::Reverse,
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::{egress::Target, request::Requests, response::Part};

/// The statistics of the hosts that had requests most recently. Cheap to clone; all
/// clones share them.
///
/// It has room for [`MAX_HOSTS`] hosts. If there's another one, the host that had no
/// request for the longest time is forgotten, and starts at 0 if it comes back.
#[derive(Clone)]
pub(crate) struct HostStats(Arc<Mutex<Table>>);

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

/// Records the requests of one batch.
pub(super) struct HostRecorder {
    stats: HostStats,
    /// Requests whose response has a 5xx status but no end yet. Only requests in flight
    /// are in here.
    failing: HashSet<u32>,
}

struct Table {
    hosts: HashMap<String, Host>,
    forgotten: u64,
    started: Instant,
}

struct Host {
    last: Instant,
    /// One for each minute, reused after [`MINUTES`].
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

/// How many minutes the statistics cover, including the current one.
const MINUTES: usize = 15;

impl HostStats {
    pub(super) fn new() -> Self {
        Self(Arc::new(Mutex::new(Table {
            hosts: HashMap::new(),
            forgotten: 0,
            started: Instant::now(),
        })))
    }

    pub(super) fn recorder(&self) -> HostRecorder {
        HostRecorder {
            stats: self.clone(),
            failing: HashSet::new(),
        }
    }

    /// Returns the `most` slowest hosts, and the `most` that failed most often.
    pub(crate) fn ranking(&self, most: usize) -> HostRanking {
        let table = self.0.lock();
        let now = table.minute();
        let hosts = table.hosts.iter();
        let mut hosts: Vec<_> = hosts
            .filter_map(|(name, host)| host.sum(name, now))
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

impl HostRecorder {
    /// Records a part of a response to one of `requests`. It only counts once the request
    /// has ended, and only if it was dispatched.
    pub(super) fn note(&mut self, part: &Part, requests: &Requests) {
        let head = part.head.as_ref();
        let is_failing = head.is_some_and(|head| head.status.is_server_error());
        let Some(end) = &part.end else {
            if is_failing {
                self.failing.insert(part.index);
            }
            return;
        };
        let was_failing = self.failing.remove(&part.index);
        let Some(total) = end.timing.total else {
            return;
        };
        if let Ok(request) = requests.decode_at(part.index) {
            let host = Target::of(&request.uri).host.to_string();
            let is_failure = is_failing || was_failing || end.error.is_some();
            self.stats.0.lock().record(host, is_failure, total);
        }
    }
}

impl Table {
    fn record(&mut self, host: String, is_failure: bool, total: Duration) {
        let now = self.minute();
        if self.hosts.len() >= MAX_HOSTS && !self.hosts.contains_key(&host) {
            self.forget_one();
        }
        let host = self.hosts.entry(host).or_insert_with(Host::new);
        host.last = Instant::now();
        host.minute(now).count(is_failure, total);
    }

    /// Forgets the host that had no request for the longest time.
    fn forget_one(&mut self) {
        let oldest = self.hosts.iter().min_by_key(|(_, host)| host.last);
        if let Some(name) = oldest.map(|(name, _)| name.clone()) {
            self.hosts.remove(&name);
            self.forgotten += 1;
        }
    }

    /// Returns the number of the current minute.
    fn minute(&self) -> u64 {
        self.started.elapsed().as_secs() / 60
    }
}

impl Host {
    fn new() -> Self {
        Self {
            last: Instant::now(),
            minutes: [Minute::default(); MINUTES],
        }
    }

    /// Returns minute `number`. If its place still has an older one, that's dropped.
    fn minute(&mut self, number: u64) -> &mut Minute {
        let place = usize::try_from(number % MINUTES as u64).unwrap_or_default();
        let minute = &mut self.minutes[place];
        if minute.number != number {
            *minute = Minute {
                number,
                ..Minute::default()
            };
        }
        minute
    }

    /// Sums up the minutes until `now`. Returns `None` if there were no requests.
    fn sum(&self, name: &str, now: u64) -> Option<HostSummary> {
        let is_recent = |minute: &&Minute| now - minute.number < MINUTES as u64;
        let mut sum = Minute::default();
        for minute in self.minutes.iter().filter(is_recent) {
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
        let total = Duration::from_millis(ms);
        stats.0.lock().record(host.to_owned(), is_failure, total);
    }

    fn names(hosts: &[HostSummary]) -> Vec<&str> {
        hosts.iter().map(|host| host.host.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn hosts_are_ranked_by_their_last_15_minutes() {
        let stats = HostStats::new();
        record(&stats, "slow", false, 900);
        record(&stats, "slow", false, 100);
        record(&stats, "failing", true, 10);
        record(&stats, "fine", false, 20);
        let ranking = stats.ranking(2);
        assert_eq!((ranking.tracked, ranking.forgotten), (3, 0));
        assert_eq!(names(&ranking.slowest), ["slow", "fine"]);
        assert_eq!(names(&ranking.failing), ["failing"]);
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
    async fn the_host_without_requests_for_the_longest_time_is_forgotten() {
        let stats = HostStats::new();
        record(&stats, "kept", true, 1);
        record(&stats, "forgotten", true, 1);
        for host in 0..MAX_HOSTS - 1 {
            time::advance(Duration::from_millis(1)).await;
            record(&stats, "kept", true, 1);
            record(&stats, &host.to_string(), false, 1);
        }
        let ranking = stats.ranking(10);
        assert_eq!((ranking.tracked, ranking.forgotten), (MAX_HOSTS, 1));
        assert_eq!(names(&ranking.failing), ["kept"]);
        assert_eq!(ranking.failing[0].failures, MAX_HOSTS as u64);
    }
}
