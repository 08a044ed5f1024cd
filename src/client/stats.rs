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
    /// Number of attempts. 0 if the request was never dispatched.
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
            earlier: duration(timing.earlier),
        }
    }
}
