//! Callers that stop reading, or read too slowly while other callers wait: their batches
//! are aborted, so that the slots and the memory they hold become free.

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

/// Aborts the batch of a response stream if its caller stalls.
pub(super) struct Watchdog {
    reads: ReadTracker,
    abort: AbortHandle,
    _task: AbortOnDropHandle<()>,
}

/// The limits on how a caller reads.
pub(super) struct Limits {
    /// How long a caller may take nothing while a message is ready.
    pub(super) timeout: Duration,
    /// Returns true if other callers wait for the slots that the batch may hold.
    pub(super) is_wanted: Box<dyn Fn() -> bool + Send + Sync>,
}

/// How a caller stalled.
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

/// Tracks how a stream is read. HTTP/2 polls for the next message once it has sent the
/// one before. So a stream that has returned a message, or its end, and is not polled
/// again is not being read.
#[derive(Debug, Clone, Default)]
struct ReadTracker(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Counts polls. It is even if the last poll returned nothing, and odd if it
    /// returned something.
    polls: AtomicU64,
    /// Bytes of messages that the stream has returned.
    sent: AtomicU64,
    /// A poll has returned nothing since the last check: the caller has taken all.
    has_caught_up: AtomicBool,
    stall: OnceLock<Stall>,
}

/// How long a stalled caller may take to read why its batch was aborted.
const GRACE: Duration = Duration::from_secs(10);

/// The longest stall timeout: longer than any call, and short enough to add to an
/// instant.
const MAX_TIMEOUT: Duration = Duration::from_hours(24 * 365 * 10);

/// Checks for each timeout.
const CHECKS: u32 = 8;

/// The bytes per second that a caller must take, on average over the timeout, if results
/// are always ready and other callers wait for a slot.
const MIN_RATE: u64 = 16 << 10;

impl Watchdog {
    /// Starts to watch a stream. If its caller stalls, `abort` ends the batch; if the
    /// caller then takes nothing for 10 s, `cut` is cancelled. Dropping the watchdog
    /// stops it.
    pub(super) fn start(abort: AbortHandle, limits: Limits, cut: CancellationToken) -> Self {
        let reads = ReadTracker::default();
        let watching = watch(reads.clone(), abort.clone(), limits, cut);
        Self {
            reads,
            abort,
            _task: AbortOnDropHandle::new(tokio::spawn(watching)),
        }
    }

    /// Notes a poll of the stream, and whether it returned a message or the end.
    pub(super) fn polled(&self, is_ready: bool) {
        self.reads.polled(is_ready);
    }

    /// Notes that the stream returned a message of about `bytes`.
    pub(super) fn sent(&self, bytes: usize) {
        self.reads.sent(bytes);
    }

    /// Returns how the caller stalled, if the batch was aborted for that.
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

    /// Returns a value that changes with each poll, or `None` if the last poll returned
    /// nothing.
    fn unread(&self) -> Option<u64> {
        let polls = self.0.polls.load(Ordering::Relaxed);
        (polls % 2 == 1).then_some(polls)
    }
}

/// Aborts the batch when its caller stalls, and cuts the call if the caller takes nothing
/// for the grace period after that. Cancel-safe.
async fn watch(reads: ReadTracker, abort: AbortHandle, limits: Limits, cut: CancellationToken) {
    let stall = stalled(&reads, &limits).await;
    tracing::info!(timeout = ?limits.timeout, "aborting a batch: {stall}");
    // Only this task sets it, once.
    let _ = reads.0.stall.set(stall);
    abort.abort();
    time::sleep(GRACE.min(limits.timeout)).await;
    cut.cancel();
}

/// Waits until the caller has stalled.
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

    /// Returns how, and after how long, a caller that takes one message in each
    /// `interval` stalls within ten minutes, if it does.
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
        // About 10 KB/s.
        let slow = Duration::from_secs(26);
        assert_eq!(stall_of(slow, false).await, None);
        let (stall, after) = stall_of(slow, true).await.unwrap();
        assert_eq!(stall, Stall::TooSlow);
        assert!(after < Duration::from_mins(2), "{after:?}");
        // About 26 KB/s.
        assert_eq!(stall_of(Duration::from_secs(10), true).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn caller_that_takes_nothing_stalls_in_any_case() {
        let (stall, after) = stall_of(Duration::from_hours(1), false).await.unwrap();
        assert_eq!(stall, Stall::NothingTaken);
        assert!(after < Duration::from_secs(80), "{after:?}");
    }
}
