//! Request timeouts.
//!
//! Every request has a total timeout, as well as an idle timeout for its origin. While
//! the request waits for a slot or for its caller, neither of them counts.

use std::{future::Future, time::Duration};

use tokio::time::{self, Instant};

use crate::request::Options;

/// The total timeout and the idle timeout of a request. The former starts with the first
/// dispatch.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    timeout: Duration,
    idle_timeout: Duration,
    deadline: Instant,
}

/// Tells which of the timeouts has elapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Elapsed {
    #[error("timeout of {0:?} passed")]
    Total(Duration),
    #[error("idle_timeout of {0:?} passed")]
    Idle(Duration),
}

impl Clock {
    pub(crate) fn start(options: &Options, now: Instant) -> Self {
        Self {
            timeout: options.timeout,
            idle_timeout: options.idle_timeout,
            deadline: now + options.timeout,
        }
    }

    /// Returns when the total timeout will elapse.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Runs `work`, but not for longer than the total timeout. This is as cancel-safe as
    /// `work` itself.
    pub(crate) async fn total<F: Future>(&self, work: F) -> Result<F::Output, Elapsed> {
        let limited = time::timeout_at(self.deadline, work).await;
        limited.map_err(|_| Elapsed::Total(self.timeout))
    }

    /// Runs `io` until either timeout elapses. This is as cancel-safe as `io` itself.
    pub(crate) async fn idle<F: Future>(&self, io: F) -> Result<F::Output, Elapsed> {
        self.idle_since(Instant::now(), io).await
    }

    /// Like [`Clock::idle`], but the origin has already been idle since `since`. This is
    /// as cancel-safe as `io` itself.
    pub(crate) async fn idle_since<F: Future>(
        &self,
        since: Instant,
        io: F,
    ) -> Result<F::Output, Elapsed> {
        let (until, elapsed) = self.first_to_elapse(since);
        time::timeout_at(until, io).await.map_err(|_| elapsed)
    }

    /// Extends the total timeout by `time`, because we weren't waiting for the origin.
    pub(crate) fn extend(&mut self, time: Duration) {
        self.deadline += time;
    }

    fn first_to_elapse(&self, since: Instant) -> (Instant, Elapsed) {
        let idle = since + self.idle_timeout;
        if idle < self.deadline {
            (idle, Elapsed::Idle(self.idle_timeout))
        } else {
            (self.deadline, Elapsed::Total(self.timeout))
        }
    }
}

impl Elapsed {
    /// Returns true if it was the idle timeout.
    pub(crate) fn is_idle(self) -> bool {
        matches!(self, Self::Idle(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_timeout_is_reported_by_name() {
        let options = Options {
            timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(4),
            ..Options::default()
        };
        let clock = Clock::start(&options, Instant::now());
        let never = std::future::pending::<()>;
        let idle = Elapsed::Idle(options.idle_timeout);
        assert_eq!(clock.idle(never()).await, Err(idle));
        assert_eq!(clock.idle(never()).await, Err(idle));
        let total = Elapsed::Total(options.timeout);
        assert_eq!(clock.idle(never()).await, Err(total));
        assert_eq!(clock.total(never()).await, Err(total));
    }

    #[tokio::test(start_paused = true)]
    async fn extended_time_does_not_count() {
        let mut clock = Clock::start(&Options::default(), Instant::now());
        let remaining = clock.deadline() - Instant::now();
        let since = Instant::now();
        time::sleep(Duration::from_hours(1)).await;
        clock.extend(since.elapsed());
        assert_eq!(clock.deadline() - Instant::now(), remaining);
    }
}
