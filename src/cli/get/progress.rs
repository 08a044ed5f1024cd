//! The progress line on stderr, if that's a terminal.

use std::{
    fmt::Write,
    io::{self, IsTerminal},
};

use fetchd::client::{Error, Outage};
use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio::time::Instant;

use super::{Args, input::Input};

/// The progress line.
pub(super) struct Progress {
    bar: ProgressBar,
    /// How it looks while the service answers.
    usual: ProgressStyle,
    /// How it looks during an outage.
    outage: ProgressStyle,
    /// True if printing a result would mix with the line.
    shares_terminal: bool,
}

impl Progress {
    /// Starts the progress line. It's hidden with `--quiet`, or if stderr isn't a
    /// terminal. There's only a total if we can count the input in advance.
    pub(super) async fn new(args: &Args, input: &Input) -> Self {
        let is_hidden = args.results.quiet || !io::stderr().is_terminal();
        let total = if is_hidden { None } else { input.count().await };
        let bar = if is_hidden {
            ProgressBar::hidden()
        } else {
            ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr())
        };
        let (usual, outage) = match total {
            Some(_) => (
                "{bar:30} {pos}/{len} done, {prefix} failed, {rate}/s{left}",
                "{pos}/{len} done; {wide_msg}",
            ),
            None => (
                "{spinner} {pos} done, {prefix} failed, {rate}/s",
                "{pos} done; {wide_msg}",
            ),
        };
        let usual = style(usual);
        Self {
            bar: bar.with_prefix("0").with_style(usual.clone()),
            usual,
            outage: style(outage),
            shares_terminal: io::stdout().is_terminal(),
        }
    }

    /// Shows how many requests are done and failed, and the outage if there is one.
    pub(super) fn show(&self, done: u64, failed: u64, outage: Option<&Outage>) {
        if self.bar.is_hidden() {
            return;
        }
        self.bar.set_prefix(failed.to_string());
        if let Some(outage) = outage {
            self.bar.set_style(self.outage.clone());
            self.bar.set_message(describe(outage));
        } else {
            self.bar.set_style(self.usual.clone());
        }
        self.bar.set_position(done);
        self.bar.tick();
    }

    /// Hides the line while `print` runs, if it prints to the same terminal.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        if self.shares_terminal {
            self.bar.suspend(print)
        } else {
            print()
        }
    }

    /// Removes the line.
    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template has known fields only")
        .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
            // A failed write means a line without the rate.
            let _ = write!(text, "{:.0}", state.per_sec());
        })
        .with_key("left", |state: &ProgressState, text: &mut dyn Write| {
            // Until something is done, we don't know.
            if state.pos() > 0 {
                let _ = write!(text, ", {:#} left", HumanDuration(state.eta()));
            }
        })
}

/// Says that the service doesn't answer, since when, and what we're doing about it. The
/// terminal may cut the end, so the addresses and the cause come last.
fn describe(outage: &Outage) -> String {
    let (problem, cause) = match &outage.error {
        Error::ServiceLost { message, .. } => ("no answer", message.clone()),
        error => ("no room", error.to_string()),
    };
    let replicas = &outage.replicas;
    let seconds = outage.since.elapsed().as_secs();
    let limit = match outage.give_up_at {
        Some(end) => {
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            format!(" for {left} s more")
        }
        None => String::new(),
    };
    format!("{problem} for {seconds} s, trying{limit}: {replicas} ({cause})")
}
