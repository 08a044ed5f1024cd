//! Callers that take nothing: their batches are given up, so that what they hold
//! is free for others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::schedule::GiveUp;

/// Whether a stream is being read. HTTP/2 asks for the next message when the one
/// before is on its way; a stream that was given one and is not asked again is not
/// being read, whether it has more or only its end.
#[derive(Debug, Clone, Default)]
pub(super) struct Reading(Arc<AtomicU64>);

/// How long a caller may take to come and learn that it was given up.
const GRACE: Duration = Duration::from_secs(10);

/// How often to look, for each timeout.
const LOOKS: u32 = 8;

impl Reading {
    /// Notes that the stream was asked, and whether it had something to give.
    pub(super) fn asked(&self, gave: bool) {
        let asked = self.0.load(Ordering::Relaxed) | 1;
        // Even: asked, and waited for. Odd: given something, and not asked since.
        self.0
            .store(asked + if gave { 2 } else { 1 }, Ordering::Relaxed);
    }

    /// What changes whenever it is asked. `None`: it is waited for.
    fn unread(&self) -> Option<u64> {
        let asked = self.0.load(Ordering::Relaxed);
        (asked % 2 == 1).then_some(asked)
    }
}

/// Gives the batch up when its caller took nothing for `timeout` while there was
/// something to take; cuts the call where it takes nothing after that either.
/// Cancel-safe.
pub(super) async fn watch(
    reading: Reading,
    give_up: GiveUp,
    timeout: Duration,
    cut: CancellationToken,
) {
    let mut looks = time::interval(timeout / LOOKS);
    looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut seen = None;
    let mut idle = 0;
    while idle <= LOOKS {
        looks.tick().await;
        let now = reading.unread();
        idle = if now.is_some() && now == seen {
            idle + 1
        } else {
            0
        };
        seen = now;
    }
    tracing::info!(?timeout, "a caller took nothing: its batch is given up");
    give_up.now();
    time::sleep(GRACE.min(timeout)).await;
    cut.cancel();
}
