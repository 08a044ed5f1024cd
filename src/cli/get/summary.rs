//! What is told on standard error: progress while it goes on, one line at the
//! end.

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
use tokio::time::Instant;

use super::{Args, reason};

/// What became of the requests, counted.
pub(super) struct Summary {
    is_quiet: bool,
    is_remote: bool,
    started: Instant,
    outcomes: BTreeMap<String, u64>,
    failed: u64,
    slowest: Duration,
    /// Addresses that the egress policy denied.
    denied: BTreeSet<IpAddr>,
    bar: ProgressBar,
}

impl Summary {
    /// Nothing so far.
    pub(super) fn new(args: &Args) -> Self {
        let bar = if args.quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr())
        };
        let style = ProgressStyle::with_template(
            "{bar:30} {pos}/{len} done, {msg} failed, {per_sec}, {eta} left",
        );
        let bar = bar.with_style(style.expect("the template names fields that there are"));
        bar.set_message("0");
        Self {
            is_quiet: args.quiet,
            is_remote: args.server.is_some(),
            started: Instant::now(),
            outcomes: BTreeMap::new(),
            failed: 0,
            slowest: Duration::ZERO,
            denied: BTreeSet::new(),
            bar,
        }
    }

    /// `count` requests are known by now.
    pub(super) fn expect(&self, count: usize) {
        self.bar.set_length(count as u64);
    }

    /// Counts `outcome`.
    pub(super) fn note(&mut self, outcome: &Outcome) {
        let name = match (&outcome.error, &outcome.response) {
            (Some(error), _) => reason(error).to_owned(),
            (None, Some(response)) => format!("{}xx", response.status.as_u16() / 100),
            (None, None) => "none".to_owned(),
        };
        *self.outcomes.entry(name).or_default() += 1;
        self.slowest = self.slowest.max(outcome.stats.total.unwrap_or_default());
        if let Some(error) = &outcome.error {
            self.failed += 1;
            self.bar.set_message(self.failed.to_string());
            self.denied.extend(denied_address(error));
        }
        self.bar.inc(1);
    }

    /// Whether any request has an error.
    pub(super) fn has_errors(&self) -> bool {
        self.failed > 0
    }

    /// Prints `print` without the bar in its way.
    pub(super) fn aside<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }

    /// Says nothing more.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Says how it went.
    pub(super) fn finish(&self) {
        self.clear();
        if self.is_quiet {
            return;
        }
        let done: u64 = self.outcomes.values().sum();
        let outcomes = self
            .outcomes
            .iter()
            .map(|(name, count)| format!("{name} {count}"));
        let outcomes = outcomes.collect::<Vec<_>>().join(", ");
        let noun = if done == 1 { "request" } else { "requests" };
        super::super::say(format_args!(
            "{done} {noun} in {:.2} s: {}; slowest {:.2} s{}",
            self.started.elapsed().as_secs_f64(),
            if outcomes.is_empty() {
                "nothing"
            } else {
                &outcomes
            },
            self.slowest.as_secs_f64(),
            self.hint()
        ));
    }

    /// What would open the denied addresses.
    fn hint(&self) -> String {
        /// More would hide the line in its own hint.
        const MOST: usize = 5;

        if self.denied.is_empty() {
            return String::new();
        }
        let denied = self.denied.iter().take(MOST);
        let networks: Vec<_> = denied
            .map(|address| ipnet::IpNet::from(*address).to_string())
            .collect();
        let more = if self.denied.len() > MOST { ",…" } else { "" };
        let of = if self.is_remote {
            " of the service"
        } else {
            ""
        };
        format!(
            "; --allow-net {}{more}{of} would open what was BLOCKED",
            networks.join(",")
        )
    }
}

/// The address that a denial begins with, where it could be allowed: for a hint,
/// where nothing but the text has it.
fn denied_address(error: &Error) -> Option<IpAddr> {
    let message = error.to_string();
    let is_denial = error.reason() == Some(Reason::Blocked) && message.contains("--allow-net");
    let address = message.split(' ').next().filter(|_| is_denial);
    address?.parse().ok()
}
