//! The usage of the service during a run.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::{options::thousands, usage::Usage};

/// All samples of a run.
pub(crate) struct Record {
    /// The usage before the first fetch.
    pub(crate) idle: Usage,
    /// One sample each 250 ms, until the limit of fetches is reached.
    pub(crate) samples: Vec<Sample>,
    /// The usage after the last fetch, when the service is idle again.
    pub(crate) last: Usage,
    pub(crate) fetches: u64,
    pub(crate) duration: Duration,
    started: Instant,
}

/// The usage at one moment.
pub(crate) struct Sample {
    /// The time since the first fetch.
    pub(crate) at: Duration,
    pub(crate) usage: Usage,
}

impl Record {
    /// Starts a record.
    pub(crate) fn new(idle: Usage) -> Self {
        Self {
            idle,
            samples: Vec::new(),
            last: idle,
            fetches: 0,
            duration: Duration::ZERO,
            started: Instant::now(),
        }
    }

    /// Adds a sample, and prints one of each minute.
    pub(crate) fn push(&mut self, fetches: u64, usage: Usage) {
        let at = self.started.elapsed();
        let minute = |at: Duration| at.as_secs() / 60;
        let before = self.samples.last().map_or(0, |sample| minute(sample.at));
        if minute(at) > before {
            let fetches = thousands(fetches);
            println!("minute {}: {fetches} fetches, {usage}", minute(at));
        }
        self.samples.push(Sample { at, usage });
    }

    /// Ends the record after `fetches`.
    pub(crate) fn finish(&mut self, fetches: u64) {
        self.fetches = fetches;
        self.duration = self.started.elapsed();
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.duration.as_secs_f64();
        let rate = thousands((self.fetches as f64 / seconds) as u64);
        let (fetches, minutes) = (thousands(self.fetches), seconds / 60.0);
        write!(
            f,
            "{fetches} fetches in {minutes:.1} minutes, {rate} per second"
        )
    }
}
