//! Callers that take nothing: their batches are given up, so that what they hold
//! is free for others.

use std::time::Duration;

use tokio::time;
use tokio_util::sync::CancellationToken;

use crate::schedule::Reading;

/// How long a caller may take to come and learn that it was given up.
const GRACE: Duration = Duration::from_secs(10);

/// How often to look, for each timeout.
const LOOKS: u32 = 8;

/// Gives the batch up when its caller took nothing for `timeout` while there was
/// something to take; cuts the call where it takes nothing after that either.
/// Cancel-safe.
pub(super) async fn watch(reading: Reading, timeout: Duration, cut: CancellationToken) {
    let mut looks = time::interval(timeout / LOOKS);
    looks.set_missed_tick_behavior(time::MissedTickBehavior::Delay);
    let mut taken = reading.taken();
    let mut idle = 0;
    while idle <= LOOKS {
        looks.tick().await;
        let now = reading.taken();
        idle = if reading.is_waited_for() && now == taken {
            idle + 1
        } else {
            0
        };
        taken = now;
    }
    tracing::info!(?timeout, "a caller took nothing: its batch is given up");
    reading.give_up();
    time::sleep(GRACE.min(timeout)).await;
    cut.cancel();
}
