//! Counts the finished fetches, by kind and outcome.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use fetchd::client::Outcome;

use crate::{mix::Kind, options::thousands};

/// The counts of all callers.
#[derive(Default)]
pub(crate) struct Tally {
    fetches: AtomicU64,
    outcomes: Mutex<BTreeMap<(Kind, Ending), u64>>,
    cancelled: AtomicU64,
}

/// How a fetch ended: with a status, or with the name of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Ending {
    Status(u16),
    Error(&'static str),
}

impl Tally {
    /// Returns how many fetches have finished.
    pub(crate) fn fetches(&self) -> u64 {
        self.fetches.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, kind: Kind, outcome: &Outcome) {
        let ending = match (&outcome.error, &outcome.response) {
            (Some(error), _) => Ending::Error(error.name()),
            (None, Some(response)) => Ending::Status(response.status.as_u16()),
            (None, None) => Ending::Error("NOTHING"),
        };
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let mut outcomes = self.outcomes.lock().expect("no holder panics");
        *outcomes.entry((kind, ending)).or_default() += 1;
    }

    /// Counts a list that was cancelled. Its unfinished fetches aren't counted.
    pub(crate) fn add_cancelled(&self) {
        self.cancelled.fetch_add(1, Ordering::Relaxed);
    }

    /// Describes each kind of which more than one in a hundred fetches ended in an unexpected
    /// way. If there's any, the load wasn't the intended one.
    pub(crate) fn problems(&self) -> Vec<String> {
        let mut counts = BTreeMap::<Kind, (u64, u64)>::new();
        for ((kind, ending), count) in &*self.outcomes.lock().expect("no holder panics") {
            let (expected, all) = counts.entry(*kind).or_default();
            *all += count;
            *expected += if is_expected(*kind, *ending) {
                *count
            } else {
                0
            };
        }
        counts.retain(|_, (expected, all)| *expected * 100 < *all * 99);
        let problems = counts.into_iter().map(|(kind, (expected, all))| {
            let name = kind.path();
            let (expected, all) = (thousands(expected), thousands(all));
            format!("only {expected} of {all} fetches of the kind {name} ended as expected")
        });
        problems.collect()
    }
}

/// Returns true if fetches of this kind should end like this.
fn is_expected(kind: Kind, ending: Ending) -> bool {
    match kind {
        // Some have arrived before the caller stops reading.
        Kind::Unread => true,
        Kind::Busy => ending == Ending::Status(503),
        Kind::Reset | Kind::Empty | Kind::Cut | Kind::Garbage | Kind::Refused => {
            !matches!(ending, Ending::Status(_))
        }
        _ => ending == Ending::Status(200),
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((kind, ending), count) in &*self.outcomes.lock().expect("no holder panics") {
            let count = thousands(*count);
            let name = kind.path();
            match ending {
                Ending::Status(status) => writeln!(f, "{count:>14}  {name}: {status}")?,
                Ending::Error(error) => writeln!(f, "{count:>14}  {name}: {error}")?,
            }
        }
        let cancelled = thousands(self.cancelled.load(Ordering::Relaxed));
        write!(f, "{cancelled:>14}  lists cancelled half-way")
    }
}
