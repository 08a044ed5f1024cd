//! Detects callers that have stopped reading, or that read too slowly while other callers
//! are waiting. We abort their batches to free the slots and memory they hold.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::schedule::AbortHandle;

/// Aborts a response stream's batch if the caller stalls.
pub(super) struct Watchdog {
    reads: ReadTracker,
    abort: AbortHandle,
    _task: AbortOnDropHandle<()>,
}

/// How fast a caller has to read.
pub(super) struct Limits {
    /// How long a caller may go without taking anything while a message is ready. After
    /// that, the caller has stalled.
    pub(super) timeout: Duration,
    /// Returns true if other callers are waiting for the slots this batch may hold.
    pub(super) is_wanted: Box<dyn Fn() -> bool + Send + Sync>,
}

/// The ways in which a caller can stall.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stall {
    #[error("the caller took nothing for the stall timeout while results were ready")]
    NothingTaken,
    #[error(
        "the caller took less than 16 KiB/s for the stall timeout while results were ready \
         and requests of other callers waited"
    )]
    TooSlow,
}

/// Tracks if a stream is being read.
///
/// HTTP/2 polls the stream for the next message when it's done sending the previous one.
/// So if the stream has returned a message (or its end), but isn't polled again, the
/// caller isn't reading.
#[derive(Debug, Clone, Default)]
struct ReadTracker(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// A poll counter. It's even if the last poll returned nothing, and odd if it
    /// returned a message or the end.
    polls: AtomicU64,
    /// How many bytes of messages the stream has returned.
    sent: AtomicU64,
    /// Set when a poll returns nothing, since that means the caller has read everything.
    /// Every check clears it.
    has_caught_up: AtomicBool,
    stall: OnceLock<Stall>,
}

/// After we abort a batch, the caller has this long to read the reason. Then we cut the
/// call. If the stall timeout is shorter, we use that instead.
const GRACE: Duration = Duration::from_secs(10);

/// A cap on the stall timeout (10 years). No call takes that long, and adding it to an
/// instant can't overflow.
const MAX_TIMEOUT: Duration = Duration::from_hours(24 * 365 * 10);

/// How often to check during a timeout.
const CHECKS: u32 = 8;

/// The minimum rate, in bytes per second, averaged over the timeout. It only applies if
/// there are always results to read and other callers are waiting for a slot. A caller
/// below it has stalled.
const MIN_RATE: u64 = 16 << 10;

impl Watchdog {
    /// Starts watching a stream.
    ///
    /// If the caller stalls, we use `abort` to end the batch. If the call is still open
    /// after a grace period of 10 s, or the stall timeout if that's shorter, we cancel
    /// `cut`. Dropping the watchdog stops it.
    pub(super) fn start(abort: AbortHandle, limits: Limits, cut: CancellationToken) -> Self {
        let reads = ReadTracker::default();
        let watching = watch(reads.clone(), abort.clone(), limits, cut);
        Self {
            reads,
            abort,
            _task: AbortOnDropHandle::new(tokio::spawn(watching)),
        }
    }

    /// Records a poll of the stream. `is_ready` is true if it returned a message or the
    /// end.
    pub(super) fn polled(&self, is_ready: bool) {
        self.reads.polled(is_ready);
    }

    /// Records that the stream returned a message of about `bytes` bytes.
    pub(super) fn sent(&self, bytes: usize) {
        self.reads.sent(bytes);
    }

    /// If the batch was aborted, returns how the caller stalled.
    pub(super) fn stall(&self) -> Option<Stall> {
        let stall = self.reads.0.stall.get();
        self.abort
            .is_aborted()
            .then(|| stall.copied().unwrap_or(Stall::NothingTaken))
    }
}

impl ReadTracker {
    fn polled(&self, is_ready: bool) {
        let polls = self.0.polls.load(Ordering::Relaxed) | 1;
        let next = polls + if is_ready { 2 } else { 1 };
        self.0.polls.store(next, Ordering::Relaxed);
        if !is_ready {
            self.0.has_caught_up.store(true, Ordering::Relaxed);
        }
    }

    fn sent(&self, bytes: usize) {
        self.0.sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns a value that's different for each poll, or `None` if the last poll
    /// returned nothing.
    fn unread(&self) -> Option<u64> {
        let polls = self.0.polls.load(Ordering::Relaxed);
        (polls % 2 == 1).then_some(polls)
    }
}

/// Aborts the batch if the caller stalls, and cuts the call after a grace period.
/// Cancel-safe.
async fn watch(reads: ReadTracker, abort: AbortHandle, limits: Limits, cut: CancellationToken) {
    let stall = stalled(&reads, &limits).await;
    let timeout_s = limits.timeout.as_secs_f64();
    tracing::info!(parent: abort.span(), timeout_s, "aborting a batch: {stall}");
    // This can't fail, because only this task sets it, and only once.
    let _ = reads.0.stall.set(stall);
    abort.abort();
    time::sleep(GRACE.min(limits.timeout)).await;
    cut.cancel();
}

/// Waits for the caller to stall.
async fn stalled(reads: &ReadTracker, limits: &Limits) -> Stall {
    let timeout = limits.timeout.min(MAX_TIMEOUT);
    let min_bytes = u128::from(MIN_RATE) * timeout.as_millis() / 1000;
    let mut checks = time::interval(timeout / CHECKS);
    checks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut last_unread = None;
    let (mut idle_checks, mut slow_checks) = (0, 0);
    let mut sent_before = 0;
    loop {
        checks.tick().await;
        let unread = reads.unread();
        let is_idle = unread.is_some() && unread == last_unread;
        idle_checks = if is_idle { idle_checks + 1 } else { 0 };
        last_unread = unread;
        if idle_checks > CHECKS {
            return Stall::NothingTaken;
        }
        let sent = reads.0.sent.load(Ordering::Relaxed);
        let has_caught_up = reads.0.has_caught_up.swap(false, Ordering::Relaxed);
        if has_caught_up || !(limits.is_wanted)() {
            slow_checks = 0;
            sent_before = sent;
            continue;
        }
        slow_checks += 1;
        if slow_checks > CHECKS {
            if u128::from(sent - sent_before) < min_bytes {
                return Stall::TooSlow;
            }
            slow_checks = 0;
            sent_before = sent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: usize = 256 << 10;

    /// Simulates a caller that takes one message every `interval`. If it stalls within
    /// ten minutes, returns how, and after how long.
    async fn stall_of(interval: Duration, is_wanted: bool) -> Option<(Stall, Duration)> {
        let reads = ReadTracker::default();
        let limits = Limits {
            timeout: Duration::from_mins(1),
            is_wanted: Box::new(move || is_wanted),
        };
        let begun = time::Instant::now();
        let reading = async {
            loop {
                reads.polled(true);
                reads.sent(MESSAGE);
                time::sleep(interval).await;
            }
        };
        tokio::select! {
            stall = stalled(&reads, &limits) => Some((stall, begun.elapsed())),
            () = reading => None,
            () = time::sleep(Duration::from_mins(10)) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn slow_caller_stalls_only_if_others_wait() {
        // That's about 10 KB/s.
        let slow = Duration::from_secs(26);
        assert_eq!(stall_of(slow, false).await, None);
        let (stall, after) = stall_of(slow, true).await.unwrap();
        assert_eq!(stall, Stall::TooSlow);
        assert!(after < Duration::from_mins(2), "{after:?}");
        // That's about 26 KB/s.
        assert_eq!(stall_of(Duration::from_secs(10), true).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn caller_that_takes_nothing_stalls_in_any_case() {
        let (stall, after) = stall_of(Duration::from_hours(1), false).await.unwrap();
        assert_eq!(stall, Stall::NothingTaken);
        assert!(after < Duration::from_secs(80), "{after:?}");
    }
}
