//! What happened, and when.

use std::{
    fmt::{self, Display},
    hash::{DefaultHasher, Hasher},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// The events of a run, in order. The same seed gives the same timeline.
#[derive(Debug)]
pub(crate) struct Timeline {
    began: Instant,
    events: Mutex<Vec<(Duration, String)>>,
}

impl Timeline {
    /// Creates a timeline that begins now.
    pub(crate) fn new() -> Self {
        Self {
            began: Instant::now(),
            events: Mutex::default(),
        }
    }

    /// Adds an event.
    pub(crate) fn add(&self, event: impl Display) {
        let event = (self.began.elapsed(), event.to_string());
        self.events.lock().push(event);
    }

    /// Returns the time since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Returns the number of events, and when the last one was.
    pub(crate) fn extent(&self) -> (usize, Duration) {
        let events = self.events.lock();
        (
            events.len(),
            events.last().map_or(Duration::ZERO, |last| last.0),
        )
    }

    /// Returns a number that differs for different timelines.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        hasher.write(self.to_string().as_bytes());
        hasher.finish()
    }
}

impl Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (time, event) in &*self.events.lock() {
            writeln!(f, "{:>10.3} {event}", time.as_secs_f64())?;
        }
        Ok(())
    }
}
