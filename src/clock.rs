//! The timeouts of one request: the total timeout and the idle timeout of its
//! origin. Time that the request spends waiting for a slot or for its caller
//! does not count.

use std::{future::Future, time::Duration};

use tokio::time::{self, Instant};

use crate::request::Options;

/// The total and the idle timeout of one request. The total timeout starts at the
/// first dispatch.
#[derive(Debug, Clone)]
pub(crate) struct Clock {
    timeout: Duration,
    idle_timeout: Duration,
    deadline: Instant,
}

/// The timeout that elapsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Elapsed {
    #[error("timeout of {0:?} passed")]
    Total(Duration),
    #[error("idle_timeout of {0:?} passed")]
    Idle(Duration),
}

impl Clock {
    /// Starts the total timeout at `now`.
    pub(crate) fn start(options: &Options, now: Instant) -> Self {
        Self {
            timeout: options.timeout,
            idle_timeout: options.idle_timeout,
            deadline: now + options.timeout,
        }
    }

    /// Returns the instant at which the total timeout elapses.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Runs `work` until the total timeout elapses. As cancel-safe as `work`.
    pub(crate) async fn total<F: Future>(&self, work: F) -> Result<F::Output, Elapsed> {
        let limited = time::timeout_at(self.deadline, work).await;
        limited.map_err(|_| Elapsed::Total(self.timeout))
    }

    /// Runs `io` until the idle or the total timeout elapses. As cancel-safe as
    /// `io`.
    pub(crate) async fn idle<F: Future>(&self, io: F) -> Result<F::Output, Elapsed> {
        self.idle_since(Instant::now(), io).await
    }

    /// Runs `io` like [`Clock::idle`], for an origin that has been idle since
    /// `since`. As cancel-safe as `io`.
    pub(crate) async fn idle_since<F: Future>(
        &self,
        since: Instant,
        io: F,
    ) -> Result<F::Output, Elapsed> {
        let (until, elapsed) = self.first_to_elapse(since);
        time::timeout_at(until, io).await.map_err(|_| elapsed)
    }

    /// Extends the total timeout by `time`, in which the origin was not waited for.
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
    /// Returns true if the idle timeout elapsed.
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
