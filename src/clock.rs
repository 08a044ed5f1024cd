//! The clocks of one request: how long it may take in all, and how long its
//! origin may be silent. They run while the service works for the request, and
//! stand still while it waits for a slot or for its caller.

use std::{future::Future, time::Duration};

use tokio::time::{self, Instant};

use crate::request::Options;

/// The total and the idle clock, started at the first dispatch.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    timeout: Duration,
    idle_timeout: Duration,
    deadline: Instant,
}

/// Which clock passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Passed {
    #[error("timeout of {0:?} passed")]
    Total(Duration),
    #[error("idle_timeout of {0:?} passed")]
    Idle(Duration),
}

impl Clock {
    /// Starts the clocks at `now`.
    pub(crate) fn start(options: &Options, now: Instant) -> Self {
        Self {
            timeout: options.timeout,
            idle_timeout: options.idle_timeout,
            deadline: now + options.timeout,
        }
    }

    /// What is left of the total.
    pub(crate) fn remaining(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Waits for `work` as long as the total allows. As cancel-safe as `work`.
    pub(crate) async fn total<F: Future>(&self, work: F) -> Result<F::Output, Passed> {
        let limited = time::timeout_at(self.deadline, work).await;
        limited.map_err(|_| Passed::Total(self.timeout))
    }

    /// Waits for the origin's next word as long as both clocks allow. As
    /// cancel-safe as `word`.
    pub(crate) async fn silence<F: Future>(&self, word: F) -> Result<F::Output, Passed> {
        self.silence_since(Instant::now(), word).await
    }

    /// The same, if the origin is silent `since` then. As cancel-safe as `word`.
    pub(crate) async fn silence_since<F: Future>(
        &self,
        since: Instant,
        word: F,
    ) -> Result<F::Output, Passed> {
        let (until, passed) = self.first_to_pass(since);
        time::timeout_at(until, word).await.map_err(|_| passed)
    }

    fn first_to_pass(&self, since: Instant) -> (Instant, Passed) {
        let idle = since + self.idle_timeout;
        if idle < self.deadline {
            (idle, Passed::Idle(self.idle_timeout))
        } else {
            (self.deadline, Passed::Total(self.timeout))
        }
    }

    /// Takes back time that was not the origin's.
    pub(crate) fn forgive(&mut self, time: Duration) {
        self.deadline += time;
    }
}

impl Passed {
    /// Returns true if it was the idle clock.
    pub(crate) fn is_idle(self) -> bool {
        matches!(self, Self::Idle(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_clock_passes_by_its_own_name() {
        let options = Options {
            timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(4),
            ..Options::default()
        };
        let clock = Clock::start(&options, Instant::now());
        let never = std::future::pending::<()>;
        let idle = Passed::Idle(options.idle_timeout);
        assert_eq!(clock.silence(never()).await, Err(idle));
        assert_eq!(clock.silence(never()).await, Err(idle));
        let total = Passed::Total(options.timeout);
        assert_eq!(clock.silence(never()).await, Err(total));
        assert_eq!(clock.total(never()).await, Err(total));
    }

    #[tokio::test(start_paused = true)]
    async fn a_paused_clock_stands_still() {
        let mut clock = Clock::start(&Options::default(), Instant::now());
        let before = clock.remaining();
        let since = Instant::now();
        time::sleep(Duration::from_hours(1)).await;
        clock.forgive(since.elapsed());
        assert_eq!(clock.remaining(), before);
    }
}
