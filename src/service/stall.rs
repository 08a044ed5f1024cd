//! Callers that take nothing, or next to nothing while others wait: their batches
//! are given up, so that what they hold is free for others.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::schedule::AbortHandle;

/// How a stream is being read. HTTP/2 asks for the next message when the one
/// before is on its way; a stream that was given one and is not asked again is not
/// being read, whether it has more or only its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// Even: asked, and waited for. Odd: given something, and not asked since.
    asked: AtomicU64,
    /// Bytes of messages.
    given: AtomicU64,
    /// It was waited for since the last look.
    has_caught_up: AtomicBool,
    /// Why the batch was given up.
    fault: OnceLock<&'static str>,
}

/// What a caller may do.
pub(super) struct Limits {
    /// How long it may take nothing while there is something to take.
    pub(super) timeout: Duration,
    /// Returns true if others wait for what it may hold.
    pub(super) is_wanted: Box<dyn Fn() -> bool + Send + Sync>,
}

/// How long a caller may take to come and learn that it was given up.
const GRACE: Duration = Duration::from_secs(10);

/// The longest timeout: more than any call lasts, and little enough to add to.
const MAX_TIMEOUT: Duration = Duration::from_hours(24 * 365 * 10);

/// How often to look, for each timeout.
const LOOKS: u32 = 8;

/// Bytes a second that a caller takes at least, on average over the timeout, if
/// there is always something to take and others wait for a slot.
const PACE: u64 = 16 << 10;

const NOTHING_TAKEN: &str = "nothing was taken for the stall timeout while results were ready";
const TOO_SLOW: &str = "less than 16 KiB/s was taken for the stall timeout while results were \
                        ready and requests of other callers waited";

impl Reading {
    /// Notes that the stream was asked, and whether it had something to give.
    pub(super) fn asked(&self, gave: bool) {
        let asked = self.0.asked.load(Ordering::Relaxed) | 1;
        let next = asked + if gave { 2 } else { 1 };
        self.0.asked.store(next, Ordering::Relaxed);
        if !gave {
            self.0.has_caught_up.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the stream gave a message of about `bytes`.
    pub(super) fn gave(&self, bytes: usize) {
        self.0.given.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Why the batch was given up.
    pub(super) fn fault(&self) -> &'static str {
        self.0.fault.get().copied().unwrap_or(NOTHING_TAKEN)
    }

    /// What changes whenever it is asked. `None`: it is waited for.
    fn unread(&self) -> Option<u64> {
        let asked = self.0.asked.load(Ordering::Relaxed);
        (asked % 2 == 1).then_some(asked)
    }
}

/// Gives the batch up if its caller takes nothing, or too little, for the timeout
/// while there is something to take; cuts the call if it takes nothing after that
/// either. Cancel-safe.
pub(super) async fn watch(
    reading: Reading,
    give_up: AbortHandle,
    limits: Limits,
    cut: CancellationToken,
) {
    let fault = stalled(&reading, &limits).await;
    tracing::info!(timeout = ?limits.timeout, "a batch is given up: {fault}");
    // Said once, by this task alone.
    let _ = reading.0.fault.set(fault);
    give_up.abort();
    time::sleep(GRACE.min(limits.timeout)).await;
    cut.cancel();
}

/// Waits until the caller counts as gone, and says why.
async fn stalled(reading: &Reading, limits: &Limits) -> &'static str {
    let state = &reading.0;
    let timeout = limits.timeout.min(MAX_TIMEOUT);
    let pace = u128::from(PACE) * timeout.as_millis() / 1000;
    let mut looks = time::interval(timeout / LOOKS);
    looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut seen = None;
    let (mut idle, mut slow) = (0, 0);
    let mut given = 0;
    loop {
        looks.tick().await;
        let now = reading.unread();
        let is_idle = now.is_some() && now == seen;
        idle = if is_idle { idle + 1 } else { 0 };
        seen = now;
        if idle > LOOKS {
            return NOTHING_TAKEN;
        }
        let has_caught_up = state.has_caught_up.swap(false, Ordering::Relaxed);
        if has_caught_up || !(limits.is_wanted)() {
            slow = 0;
            given = state.given.load(Ordering::Relaxed);
            continue;
        }
        slow += 1;
        let taken = state.given.load(Ordering::Relaxed) - given;
        if slow > LOOKS {
            if u128::from(taken) < pace {
                return TOO_SLOW;
            }
            slow = 0;
            given += taken;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MESSAGE: usize = 256 << 10;

    /// Why a caller that takes a message in each `interval` counts as gone within
    /// ten minutes, if it does, and when.
    async fn fault(interval: Duration, is_wanted: bool) -> Option<(&'static str, Duration)> {
        let reading = Reading::default();
        let limits = Limits {
            timeout: Duration::from_mins(1),
            is_wanted: Box::new(move || is_wanted),
        };
        let begun = time::Instant::now();
        let taking = async {
            loop {
                reading.asked(true);
                reading.gave(MESSAGE);
                time::sleep(interval).await;
            }
        };
        tokio::select! {
            fault = stalled(&reading, &limits) => Some((fault, begun.elapsed())),
            () = taking => None,
            () = time::sleep(Duration::from_mins(10)) => None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_caller_is_given_up_only_if_others_wait() {
        // About 10 KB/s.
        let slow = Duration::from_secs(26);
        assert_eq!(fault(slow, false).await, None);
        let (why, after) = fault(slow, true).await.unwrap();
        assert_eq!(why, TOO_SLOW);
        assert!(after < Duration::from_mins(2), "{after:?}");
        // About 26 KB/s.
        assert_eq!(fault(Duration::from_secs(10), true).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_takes_nothing_is_given_up_in_any_case() {
        let (why, after) = fault(Duration::from_hours(1), false).await.unwrap();
        assert_eq!(why, NOTHING_TAKEN);
        assert!(after < Duration::from_secs(80), "{after:?}");
    }
}
