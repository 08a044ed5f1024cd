//! Counts and durations of one request.

use std::time::Duration;

use crate::proto;

/// Counts and durations of one request. Also among the extensions of a
/// `reqwest::Response`, unless [`Client::execute`](super::Client::execute) returned it
/// before its body was complete.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FetchStats {
    /// The number of attempts. 0 if the request was never dispatched.
    pub attempts: u32,
    /// The number of redirects that the last attempt followed.
    pub redirects: u32,
    /// True if the body was cut at `max_body_bytes`, as the request allowed.
    pub truncated: bool,
    /// The sum of all waits for a slot.
    pub queued: Duration,
    /// The time from the dispatch to the head of the final response.
    pub first_byte: Option<Duration>,
    /// The time from the first dispatch to the end.
    pub total: Option<Duration>,
    /// The time of the name look-up in the last hop of the last attempt. `None`, as
    /// for `connect` and `tls`, if the attempt did not get that far, did not need it,
    /// or reused a connection.
    pub dns: Option<Duration>,
    /// The time to connect by TCP, through the service's proxy if it has one.
    pub connect: Option<Duration>,
    /// The time of the TLS handshake.
    pub tls: Option<Duration>,
    /// True if the last hop of the last attempt reused a connection.
    pub connection_reused: bool,
}

impl FetchStats {
    pub(super) fn from_end(end: &proto::FetchEnd) -> Self {
        let timing = end.timing.unwrap_or_default();
        let duration = |value: Option<prost_types::Duration>| Duration::try_from(value?).ok();
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
        }
    }
}
