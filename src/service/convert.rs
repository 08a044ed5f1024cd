//! Converts results to protobuf messages.

use std::time::Duration;

use crate::{
    proto,
    response::{End, FetchError, Reason, Timing},
};

impl From<End> for proto::FetchEnd {
    fn from(end: End) -> Self {
        Self {
            error: end.error.map(Into::into),
            attempts: end.attempts,
            redirects: end.redirects,
            body_bytes: end.body_bytes,
            truncated: end.truncated,
            timing: Some(end.timing.into()),
        }
    }
}

impl From<Timing> for proto::Timing {
    fn from(timing: Timing) -> Self {
        Self {
            queued: Some(duration(timing.queued)),
            first_byte: timing.first_byte.map(duration),
            total: timing.total.map(duration),
            dns: timing.phases.dns.map(duration),
            connect: timing.phases.connect.map(duration),
            tls: timing.phases.tls.map(duration),
            connection_reused: timing.phases.is_reused,
            earlier: timing.earlier.map(duration),
        }
    }
}

impl From<FetchError> for proto::FetchError {
    fn from(error: FetchError) -> Self {
        Self {
            reason: proto::Reason::from(error.reason).into(),
            message: error.message,
            retryable: error.retryable,
        }
    }
}

impl From<Reason> for proto::Reason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::InvalidRequest => Self::InvalidRequest,
            Reason::Blocked => Self::Blocked,
            Reason::Dns => Self::Dns,
            Reason::Connect => Self::Connect,
            Reason::Tls => Self::Tls,
            Reason::Timeout => Self::Timeout,
            Reason::TooManyRedirects => Self::TooManyRedirects,
            Reason::Protocol => Self::Protocol,
            Reason::Disconnected => Self::Disconnected,
            Reason::Decode => Self::Decode,
            Reason::BodyTooLarge => Self::BodyTooLarge,
            Reason::BatchDeadline => Self::BatchDeadline,
            Reason::ShuttingDown => Self::ShuttingDown,
            Reason::Internal => Self::Internal,
        }
    }
}

/// Converts a duration. It's never out of range, since no call takes that long.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    prost_types::Duration::try_from(duration).unwrap_or_default()
}
