//! The `Retry-After` header (RFC 9110, 10.2.3), which lets an origin ask for a specific
//! delay.

use std::time::{Duration, SystemTime};

use crate::response::Headers;

/// The longest delay that we accept from an origin. If it asks for more, we don't retry
/// at all.
pub(super) const MAX_DELAY: Duration = Duration::from_mins(1);

/// Returns the delay the origin is asking for. The header contains either seconds or a
/// date.
pub(super) fn parse(headers: &Headers, now: SystemTime) -> Option<Duration> {
    let value = headers.get("retry-after")?;
    let value = std::str::from_utf8(value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // If it doesn't fit into a `u64`, it's certainly too long.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_accepted() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 12:00:00 GMT").unwrap();
        let delay = |value: &'static str| parse(&[("retry-after", value)].into(), now);
        assert_eq!(delay("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            delay("Sun, 22 Nov 2026 12:00:30 GMT"),
            Some(Duration::from_secs(30))
        );
        assert_eq!(delay("Sun, 22 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(
            delay("99999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        for value in ["", "-1", "soon", "1.5"] {
            assert_eq!(delay(value), None, "{value}");
        }
        assert_eq!(parse(&Headers::default(), now), None);
    }
}
