//! How long to wait before a retry, unless the origin asks for a specific delay.

use std::time::Duration;

/// The second attempt waits for at most this long.
const MIN: Duration = Duration::from_millis(200);

/// No attempt waits for longer than this.
const MAX: Duration = Duration::from_secs(10);

/// Returns how long to wait after `attempts` attempts.
///
/// This is a random part of a time that doubles with each attempt (full jitter). `jitter`
/// is a random number between 0 and 1.
pub(super) fn delay(attempts: u32, jitter: f64) -> Duration {
    // We reach the maximum long before that. This is only to avoid an overflow.
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
