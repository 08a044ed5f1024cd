//! The summary that we print at the end, on stderr.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    path::PathBuf,
    time::Duration,
};

use fetchd::{
    client::{Error, Outcome},
    proto::Reason,
};
use hdrhistogram::Histogram;
use ipnet::IpNet;
use tokio::time::Instant;

use super::{Args, phases::micros};
use crate::cli::{print_error, redact::redacted};

/// Counts outcomes for the summary.
pub(super) struct Summary {
    is_quiet: bool,
    /// True if the service runs in another process.
    is_remote: bool,
    /// The file of failures, if there is one.
    failures: Option<PathBuf>,
    started: Instant,
    /// Number of outcomes per status class or error reason.
    counts: BTreeMap<String, u64>,
    done: u64,
    failed: u64,
    /// Total size of the bodies, in bytes.
    bytes: u64,
    /// Durations of requests, in microseconds.
    durations: Histogram<u64>,
    /// The slowest request and its URL without secrets.
    slowest: Option<(Duration, String)>,
    /// The last error that says why the service is lost. The first may only be the
    /// symptom, such as a broken connection.
    lost: Option<Error>,
    /// True if a file of `--output` was in the way.
    has_conflict: bool,
    /// Addresses the egress policy denied.
    denied: BTreeSet<IpAddr>,
}

/// Durations above a day count as a day. This is in microseconds.
const MAX_DURATION: u64 = 24 * 60 * 60 * 1_000_000;

/// The precision of durations, in significant digits.
const DIGITS: u8 = 3;

/// The requests that have no outcome at the end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remaining {
    pub(super) count: u64,
    /// True if we didn't read the input to its end.
    pub(super) has_more: bool,
}

impl Summary {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            is_quiet: args.results.quiet,
            is_remote: args.service.server.is_some(),
            failures: args.results.failures.clone(),
            started: Instant::now(),
            counts: BTreeMap::new(),
            done: 0,
            failed: 0,
            bytes: 0,
            durations: Histogram::new_with_bounds(1, MAX_DURATION, DIGITS)
                .expect("the bounds and the precision are valid"),
            slowest: None,
            lost: None,
            has_conflict: false,
            denied: BTreeSet::new(),
        }
    }

    /// Counts the outcome of a request to `url`.
    pub(super) fn add(&mut self, url: &str, outcome: &Outcome, is_failure: bool) {
        let name = match (&outcome.error, &outcome.response) {
            (Some(error), _) => error.name().to_owned(),
            (None, Some(response)) => format!("{}xx", response.status.as_u16() / 100),
            (None, None) => "none".to_owned(),
        };
        *self.counts.entry(name).or_default() += 1;
        self.done += 1;
        self.failed += u64::from(is_failure);
        let response = outcome.response.as_ref();
        self.bytes += response.map_or(0, |response| response.body.len() as u64);
        if let Some(total) = outcome.stats.total {
            self.add_duration(url, total);
        }
        match &outcome.error {
            Some(error @ Error::ServiceLost { .. }) => {
                self.lost = Some(error.clone());
            }
            Some(Error::Unsendable { message, .. }) => {
                self.has_conflict |= message.contains("--force");
            }
            Some(error) => self.denied.extend(denied_address(error)),
            None => {}
        }
    }

    fn add_duration(&mut self, url: &str, duration: Duration) {
        self.durations.saturating_record(micros(duration));
        let is_slowest = self
            .slowest
            .as_ref()
            .is_none_or(|(most, _)| duration > *most);
        if is_slowest {
            self.slowest = Some((duration, redacted(url).into_owned()));
        }
    }

    /// Returns the number of requests with an outcome.
    pub(super) fn done(&self) -> u64 {
        self.done
    }

    pub(super) fn failed(&self) -> u64 {
        self.failed
    }

    /// Returns the number of outcomes per status class or error reason.
    pub(super) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// Returns the total size of the bodies.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns the time since the list began.
    pub(super) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Returns the duration that `percent` of the requests didn't exceed. `None` if none
    /// was dispatched.
    pub(super) fn percentile(&self, percent: u8) -> Option<Duration> {
        let (slowest, _) = self.slowest.as_ref()?;
        let micros = self.durations.value_at_quantile(f64::from(percent) / 100.0);
        Some(Duration::from_micros(micros).min(*slowest))
    }

    /// Returns durations in microseconds, in ascending order, and how many requests took as
    /// long.
    pub(super) fn durations(&self) -> impl Iterator<Item = (u64, u64)> {
        let recorded = self.durations.iter_recorded();
        recorded.map(|step| (step.value_iterated_to(), step.count_at_value()))
    }

    /// Prints the summary. `failures` is the number of lines in the file of failures.
    pub(super) fn print(&self, remaining: Remaining, failures: Option<u64>) {
        if self.is_quiet {
            return;
        }
        let time = self.elapsed().as_secs_f64();
        let counts = self.counts.iter();
        let counts: Vec<_> = counts
            .map(|(name, count)| format!("{name} {count}"))
            .collect();
        let counts = if counts.is_empty() {
            "no results".to_owned()
        } else {
            counts.join(", ")
        };
        print_error(format_args!(
            "{} in {time:.2} s: {counts}{}",
            count_of(self.done, "request"),
            self.latencies()
        ));
        if remaining.count > 0 || remaining.has_more {
            print_error(remaining);
        }
        if let (Some(count), Some(path)) = (failures, &self.failures)
            && count > 0
        {
            let lines = count_of(count, "line");
            print_error(format_args!("{lines} to try again in {}", path.display()));
        }
        if let Some(error) = &self.lost {
            print_error(format_args!("{}: {error}", error.name()));
        }
        if self.has_conflict {
            print_error(
                "--force would overwrite the files that exist; lines with an id have files of \
                 their own",
            );
        }
        self.print_denied();
    }

    fn latencies(&self) -> String {
        let Some((slowest, url)) = &self.slowest else {
            return String::new();
        };
        let percentile = |percent| {
            let duration = self.percentile(percent).unwrap_or_default();
            format!("p{percent} {:.3} s", duration.as_secs_f64())
        };
        let slowest = slowest.as_secs_f64();
        format!(
            "; {}, {}, {}, slowest {slowest:.3} s ({url})",
            percentile(50),
            percentile(90),
            percentile(99)
        )
    }

    /// Tells the user how to allow the denied addresses, if there are any.
    fn print_denied(&self) {
        /// List at most this many addresses, so that the line stays readable.
        const MAX_ADDRESSES: usize = 5;

        if self.denied.is_empty() {
            return;
        }
        let denied = self.denied.iter().take(MAX_ADDRESSES);
        let networks: Vec<_> = denied
            .map(|address| IpNet::from(*address).to_string())
            .collect();
        let networks = networks.join(",");
        let more = if self.denied.len() > MAX_ADDRESSES {
            ",…"
        } else {
            ""
        };
        let owner = if self.is_remote {
            " of the service"
        } else {
            ""
        };
        print_error(format_args!(
            "--allow-net {networks}{more}{owner} would allow the BLOCKED addresses"
        ));
    }
}

impl fmt::Display for Remaining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.count == 1 { "remains" } else { "remain" };
        write!(f, "{} {verb}", count_of(self.count, "request"))?;
        if self.has_more {
            f.write_str(", and the input was not read to its end")?;
        }
        Ok(())
    }
}

/// Returns e.g. `1 request` or `2 requests`.
fn count_of(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Returns the denied address, if `--allow-net` would help. We have to search the
/// message for it, since the error doesn't carry the address in a field. If we get this
/// wrong, the user merely misses a hint.
fn denied_address(error: &Error) -> Option<IpAddr> {
    let message = error.to_string();
    if error.reason() != Some(Reason::Blocked) || !message.contains("--allow-net") {
        return None;
    }
    message.split(' ').find_map(|word| word.parse().ok())
}
