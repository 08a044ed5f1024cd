//! The delay before a retry if the origin asks for none.

use std::time::Duration;

/// The longest delay before the second attempt.
const MIN: Duration = Duration::from_millis(200);

/// The longest delay before any attempt.
const MAX: Duration = Duration::from_secs(10);

/// Returns the delay after `attempts` attempts: a random part of a time that doubles
/// with each attempt (full jitter). `jitter` is a random number from 0 to 1.
pub(super) fn delay(attempts: u32, jitter: f64) -> Duration {
    // Many more doublings than it takes to reach the maximum.
    let doublings = attempts.saturating_sub(1).min(16);
    let longest = MIN.saturating_mul(1 << doublings).min(MAX);
    longest.mul_f64(jitter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_their_maximum() {
        let delays = (1..=10).map(|attempts| delay(attempts, 1.0).as_millis());
        let expected = [
            200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000,
        ];
        assert!(delays.eq(expected));
        assert_eq!(delay(3, 0.0), Duration::ZERO);
    }
}
