//! Whether a request is tried again, and after how long.
//!
//! Idempotent requests are tried again after a failure that may pass and after
//! the statuses that ask for it; others only where nothing of them was
//! written. Waits grow from 200 ms to 10 s, with full jitter, unless the origin
//! says how long. A budget for each caller and host keeps a failing host from
//! being asked many times as often as a healthy one, and a caller that asks it
//! from using up the retries of the others.

mod budgets;

use std::time::{Duration, SystemTime};

use http::StatusCode;

use crate::{
    request::Request,
    response::{FetchError, Headers, Reason},
};
pub(crate) use budgets::{Budget, Budgets};

/// The longest first wait.
const BACKOFF_MIN: Duration = Duration::from_millis(200);
/// The longest wait of our own.
const BACKOFF_MAX: Duration = Duration::from_secs(10);
/// The longest wait that an origin may ask for.
const ASKED_MAX: Duration = Duration::from_mins(1);

impl Budget {
    /// How long to wait for another attempt after `attempts` of them, where one
    /// may follow: as long as the origin `asked` for, or `chance` (0 to 1) of
    /// our own longest wait, if that leaves something of what is `left`.
    pub(crate) fn wait(
        &self,
        attempts: u32,
        asked: Option<Duration>,
        left: Duration,
        chance: f64,
    ) -> Option<Duration> {
        let wait = asked.unwrap_or_else(|| backoff(attempts, chance));
        let fits = wait < left && wait <= ASKED_MAX;
        (fits && self.withdraw()).then_some(wait)
    }
}

/// Whether `status` asks for another attempt.
pub(crate) fn wants_retry(request: &Request, status: StatusCode) -> bool {
    request.is_idempotent() && matches!(status.as_u16(), 408 | 429 | 502 | 503 | 504)
}

/// Whether another attempt may follow after one that followed `redirects` and
/// ended with `error`.
pub(crate) fn is_worth_retrying(request: &Request, redirects: u32, error: &FetchError) -> bool {
    // These failures come before anything is written to that origin. After a
    // redirect, another origin has had the request.
    let unconnected = matches!(error.reason, Reason::Dns | Reason::Connect | Reason::Tls);
    let unwritten = unconnected && redirects == 0;
    error.retryable && (request.is_idempotent() || unwritten)
}

/// How long the origin asks to wait (RFC 9110, 10.2.3): seconds, or a date.
pub(crate) fn asked_wait(headers: &Headers, now: SystemTime) -> Option<Duration> {
    let value = std::str::from_utf8(headers.get("retry-after")?)
        .ok()?
        .trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // What does not fit is too long in any case.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// `chance` of a time that doubles with each attempt (full jitter).
fn backoff(attempts: u32, chance: f64) -> Duration {
    let doublings = attempts.saturating_sub(1).min(16);
    let longest = BACKOFF_MIN.saturating_mul(1 << doublings).min(BACKOFF_MAX);
    longest.mul_f64(chance)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;

    fn request(method: &str) -> Request {
        Request::new("http://example.com/", method).unwrap()
    }

    #[test]
    fn only_idempotent_requests_are_repeated_once_written() {
        let cut = FetchError::new(Reason::Disconnected, "");
        let refused = FetchError::new(Reason::Connect, "");
        for method in ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"] {
            assert!(is_worth_retrying(&request(method), 0, &cut), "{method}");
            assert!(wants_retry(&request(method), StatusCode::BAD_GATEWAY));
        }
        for method in ["POST", "PATCH", "PURGE"] {
            assert!(!is_worth_retrying(&request(method), 0, &cut), "{method}");
            assert!(is_worth_retrying(&request(method), 0, &refused), "{method}");
            assert!(
                !is_worth_retrying(&request(method), 1, &refused),
                "{method}"
            );
            assert!(!wants_retry(&request(method), StatusCode::BAD_GATEWAY));
        }
    }

    #[test]
    fn what_lasts_is_not_repeated() {
        let unknown = FetchError::new(Reason::Dns, "").lasting();
        assert!(!is_worth_retrying(&request("GET"), 0, &unknown));
        assert!(!wants_retry(
            &request("GET"),
            StatusCode::INTERNAL_SERVER_ERROR
        ));
        assert!(!wants_retry(&request("GET"), StatusCode::NOT_FOUND));
    }

    #[test]
    fn waits_double_up_to_their_limit() {
        let waits = (1..=10).map(|attempts| backoff(attempts, 1.0).as_millis());
        let expected = [
            200, 400, 800, 1600, 3200, 6400, 10_000, 10_000, 10_000, 10_000,
        ];
        assert!(waits.eq(expected));
        assert_eq!(backoff(3, 0.0), Duration::ZERO);
    }

    #[test]
    fn an_origin_may_say_how_long_to_wait() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").unwrap();
        let asked = |value: &'static str| asked_wait(&[("retry-after", value)].into(), now);
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            asked("Sun, 22 Nov 2026 12:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(asked("Sun, 22 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(
            asked("99999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        for value in ["", "-1", "soon", "1.5"] {
            assert_eq!(asked(value), None, "{value}");
        }
        assert_eq!(asked_wait(&Headers::default(), now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_must_fit() {
        let budget = Budgets::new().budget(Caller::at(None), &request("GET"));
        let (short, long) = (Duration::from_secs(1), Duration::from_mins(10));
        assert_eq!(
            budget.wait(1, None, short, 0.5),
            Some(Duration::from_millis(100))
        );
        assert_eq!(budget.wait(1, None, Duration::from_millis(100), 0.5), None);
        assert_eq!(budget.wait(1, Some(ASKED_MAX), long, 0.5), Some(ASKED_MAX));
        assert_eq!(budget.wait(1, Some(ASKED_MAX), ASKED_MAX, 0.5), None);
        let too_long = ASKED_MAX + Duration::from_secs(1);
        assert_eq!(budget.wait(1, Some(too_long), long, 0.5), None);
    }
}
