//! Counts and durations for a request.

use std::time::Duration;

use crate::proto;

/// Counts and durations for one request.
///
/// These are also among the extensions of a `reqwest::Response`. The only exception is a
/// response that [`Client::execute`](super::Client::execute) returned before its body
/// was complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchStats {
    /// Number of attempts. 0 if the request was never dispatched, or if the replica that had it
    /// was lost. The error says so if it may have been dispatched.
    pub attempts: u32,
    /// Number of redirects the last attempt followed.
    pub redirects: u32,
    /// True if the body was cut off at `max_body_bytes` (because the request allowed
    /// it).
    pub truncated: bool,
    /// Total time spent waiting for a slot.
    pub queued: Duration,
    /// Time from dispatch to the final response's head.
    pub first_byte: Option<Duration>,
    /// Time from the first dispatch to the end.
    pub total: Option<Duration>,
    /// How long the name look-up took, in the last attempt's last hop. `None` if the
    /// attempt didn't get that far, didn't need this step, or reused a connection. The
    /// same goes for `connect` and `tls`.
    pub dns: Option<Duration>,
    /// How long it took to connect by TCP (and through the service's proxy, if it has
    /// one).
    pub connect: Option<Duration>,
    /// How long the TLS handshake took.
    pub tls: Option<Duration>,
    /// True if the last attempt's last hop reused a connection.
    pub connection_reused: bool,
    /// Time from the first dispatch to the last attempt's last hop, i.e. the time for
    /// earlier attempts, redirects and the waits between them. `None` if there were none.
    pub earlier: Option<Duration>,
}

impl FetchStats {
    pub(super) fn from_end(end: &proto::FetchEnd) -> Self {
        let timing = end.timing.unwrap_or_default();
        Self {
            attempts: end.attempts,
            redirects: end.redirects,
            truncated: end.truncated,
            queued: duration(timing.queued).unwrap_or_default(),
            first_byte: duration(timing.first_byte),
            total: duration(timing.total),
            dns: duration(timing.dns),
            connect: duration(timing.connect),
            tls: duration(timing.tls),
            connection_reused: timing.connection_reused,
            earlier: duration(timing.earlier),
        }
    }
}

/// Converts a duration. Returns `None` if it isn't set, if it's negative, or if it's longer
/// than Protocol Buffers allow.
///
/// prost's own conversion panics on some durations if overflows are checked. With the limit,
/// callers can subtract a duration from the current time, and add up many of them.
fn duration(value: Option<prost_types::Duration>) -> Option<Duration> {
    /// About 10,000 years, in seconds.
    const MAX: u64 = 315_576_000_000;

    let value = value?;
    match (u64::try_from(value.seconds), u32::try_from(value.nanos)) {
        (Ok(seconds @ ..=MAX), Ok(nanos @ ..1_000_000_000)) => Some(Duration::new(seconds, nanos)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_out_of_range_count_as_unset() {
        let converted = |seconds, nanos| duration(Some(prost_types::Duration { seconds, nanos }));
        assert_eq!(converted(1, 5), Some(Duration::new(1, 5)));
        for (seconds, nanos) in [
            (i64::MIN, 0),
            (i64::MIN, i32::MIN),
            (-1, 0),
            (0, -1),
            (0, 1_000_000_000),
            (315_576_000_001, 0),
            (i64::MAX, i32::MAX),
        ] {
            assert_eq!(converted(seconds, nanos), None, "{seconds} {nanos}");
        }
    }
}
