//! Reports on stderr: a progress bar (if it's a terminal) and a summary line at the end.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, IsTerminal},
    net::IpAddr,
    time::Duration,
};

use fetchd::{
    client::{Error, Outcome},
    proto::Reason,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ipnet::IpNet;
use tokio::time::Instant;

use super::{Args, reason};
use crate::cli::print_error;

/// Counts outcomes for the summary.
pub(super) struct Summary {
    is_quiet: bool,
    /// True if the service runs in another process.
    is_remote: bool,
    started: Instant,
    /// Number of outcomes per status class or error reason.
    counts: BTreeMap<String, u64>,
    failed: u64,
    slowest: Duration,
    /// Addresses the egress policy denied.
    denied: BTreeSet<IpAddr>,
    bar: ProgressBar,
}

impl Summary {
    pub(super) fn new(args: &Args) -> Self {
        Self {
            is_quiet: args.quiet,
            is_remote: args.server.is_some(),
            started: Instant::now(),
            counts: BTreeMap::new(),
            failed: 0,
            slowest: Duration::ZERO,
            denied: BTreeSet::new(),
            bar: progress_bar(args),
        }
    }

    /// Sets the number of requests we've read so far.
    pub(super) fn set_total(&self, count: usize) {
        self.bar.set_length(count as u64);
    }

    pub(super) fn add(&mut self, outcome: &Outcome) {
        let name = match (&outcome.error, &outcome.response) {
            (Some(error), _) => reason(error).to_owned(),
            (None, Some(response)) => format!("{}xx", response.status.as_u16() / 100),
            (None, None) => "none".to_owned(),
        };
        *self.counts.entry(name).or_default() += 1;
        self.slowest = self.slowest.max(outcome.stats.total.unwrap_or_default());
        if let Some(error) = &outcome.error {
            self.failed += 1;
            self.bar.set_message(self.failed.to_string());
            self.denied.extend(denied_address(error));
        }
        self.bar.inc(1);
    }

    /// Returns true if any request failed.
    pub(super) fn has_errors(&self) -> bool {
        self.failed > 0
    }

    /// Hides the progress bar while `print` runs.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Removes the progress bar, then prints the summary line.
    pub(super) fn finish(&self) {
        self.clear();
        if self.is_quiet {
            return;
        }
        let done: u64 = self.counts.values().sum();
        let noun = if done == 1 { "request" } else { "requests" };
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
            "{done} {noun} in {:.2} s: {counts}; slowest {:.2} s{}",
            self.started.elapsed().as_secs_f64(),
            self.slowest.as_secs_f64(),
            self.hint()
        ));
    }

    /// Tells the user how to allow the denied addresses. Empty if there aren't any.
    fn hint(&self) -> String {
        /// List at most this many addresses, so that the line stays readable.
        const MAX_ADDRESSES: usize = 5;

        if self.denied.is_empty() {
            return String::new();
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
        format!("; --allow-net {networks}{more}{owner} would allow the BLOCKED addresses")
    }
}

/// Creates the progress bar. It's hidden with `--quiet`, or if stderr isn't a terminal.
fn progress_bar(args: &Args) -> ProgressBar {
    let bar = if args.quiet || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
    };
    let style = ProgressStyle::with_template(
        "{bar:30} {pos}/{len} done, {msg} failed, {per_sec}, {eta} left",
    )
    .expect("the template has known fields only");
    bar.with_style(style).with_message("0")
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
