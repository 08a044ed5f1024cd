//! Results: a head, the parts of a body, and always exactly one end.

mod headers;

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{StatusCode, Uri, Version};

use crate::request::InvalidRequest;
pub(crate) use headers::Headers;

/// A piece of a request's result. Most results consist of a single part.
#[derive(Debug)]
pub(crate) struct Part {
    /// The request's position in its batch.
    pub(crate) index: u32,
    /// Only set in the first part, and only if the origin responded.
    pub(crate) head: Option<Head>,
    /// Some more bytes of the body, up to [`Part::MAX_BODY`].
    pub(crate) body: Bytes,
    /// Only set in the last part.
    pub(crate) end: Option<End>,
}

/// The head of an origin's response.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status. This can be of any class.
    pub(crate) status: StatusCode,
    /// The header lines, including duplicates.
    pub(crate) headers: Headers,
    /// The URL of the final response. Doesn't include user info or fragment.
    pub(crate) url: Uri,
    /// The HTTP version that the origin speaks.
    pub(crate) version: Version,
}

/// How a request ended.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// `None` if the response is complete.
    pub(crate) error: Option<FetchError>,
    /// The number of attempts. This is 0 if the request was never dispatched.
    pub(crate) attempts: u32,
    /// How many redirects the last attempt followed.
    pub(crate) redirects: u32,
    /// The size of the body as the caller gets it.
    pub(crate) body_bytes: u64,
    /// Set if the body was cut off at its limit, because the request asked for that.
    pub(crate) truncated: bool,
    pub(crate) timing: Timing,
}

/// How long each step of a request took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// The total time spent waiting for a slot.
    pub(crate) queued: Duration,
    /// From the first dispatch until we got the head of the final response.
    pub(crate) first_byte: Option<Duration>,
    /// From the first dispatch until the end, including any waits.
    pub(crate) total: Option<Duration>,
    /// From the first dispatch until the last hop of the last attempt. `None` if that was
    /// the first one.
    pub(crate) earlier: Option<Duration>,
    /// How we got a connection for the last hop of the last attempt.
    pub(crate) phases: Phases,
}

/// How we got a connection for a hop. A phase is `None` if we didn't reach it or didn't
/// need it. If the connection was reused, all of them are.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phases {
    /// The DNS lookup. There isn't one if the host is an address or if there's a proxy.
    pub(crate) dns: Option<Duration>,
    /// Opening the TCP connection. If there's a proxy, this includes the tunnel.
    pub(crate) connect: Option<Duration>,
    /// The TLS handshake.
    pub(crate) tls: Option<Duration>,
    /// Set if the connection has carried another request before.
    pub(crate) is_reused: bool,
}

/// The reason why a request doesn't have a complete response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct FetchError {
    /// The kind of error.
    pub(crate) reason: Reason,
    /// A message for humans. It never contains credentials or query strings.
    pub(crate) message: String,
    /// Set if the same request might succeed later.
    pub(crate) retryable: bool,
    /// If the egress policy denied the request, this is the rule that did.
    pub(crate) rule: Option<&'static str>,
}

/// Kinds of errors. See the contract's `Reason` for what each of them means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub(crate) enum Reason {
    InvalidRequest,
    Blocked,
    Dns,
    Connect,
    Tls,
    Timeout,
    TooManyRedirects,
    Protocol,
    Disconnected,
    Decode,
    BodyTooLarge,
    BatchDeadline,
    ShuttingDown,
    Internal,
}

impl Part {
    /// The maximum number of body bytes in a part. If there's more, it goes into the next
    /// part.
    pub(crate) const MAX_BODY: usize = 64 << 10;

    /// Returns roughly how many bytes this part takes, both in memory and in a message.
    pub(crate) fn weight(&self) -> usize {
        /// Index, end, timing, and their framing.
        const FIXED: usize = 128;
        /// The overhead per header line.
        const PER_HEADER: usize = 16;

        let head = self.head.as_ref().map_or(0, |head| {
            let url = head
                .url
                .path_and_query()
                .map_or(0, |path| path.as_str().len());
            let host = head.url.authority().map_or(0, |host| host.as_str().len());
            url + host + head.headers.bytes() + head.headers.len() * PER_HEADER
        });
        let message = self.end.as_ref().and_then(|end| end.error.as_ref());
        let message = message.map_or(0, |error| error.message.len());
        FIXED + head + message + self.body.len()
    }
}

impl End {
    /// Marks the body as truncated.
    #[must_use]
    pub(crate) fn truncated(self) -> Self {
        Self {
            truncated: true,
            ..self
        }
    }
}

impl From<InvalidRequest> for FetchError {
    fn from(invalid: InvalidRequest) -> Self {
        Self::new(Reason::InvalidRequest, invalid.to_string())
    }
}

impl FetchError {
    /// Creates an error. Whether it's retryable depends on the reason.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retryable: reason.is_transient(),
            rule: None,
        }
    }

    /// Creates the error for a request that was denied by an egress policy rule.
    pub(crate) fn denied(message: impl Into<String>, rule: &'static str) -> Self {
        Self {
            rule: Some(rule),
            ..Self::new(Reason::Blocked, message)
        }
    }

    /// Marks the error as not retryable.
    #[must_use]
    pub(crate) fn permanent(self) -> Self {
        Self {
            retryable: false,
            ..self
        }
    }
}

impl Reason {
    /// All reasons.
    pub(crate) const ALL: [Self; 14] = [
        Self::InvalidRequest,
        Self::Blocked,
        Self::Dns,
        Self::Connect,
        Self::Tls,
        Self::Timeout,
        Self::TooManyRedirects,
        Self::Protocol,
        Self::Disconnected,
        Self::Decode,
        Self::BodyTooLarge,
        Self::BatchDeadline,
        Self::ShuttingDown,
        Self::Internal,
    ];

    /// Returns true if another attempt might succeed, assuming that all we know is the
    /// reason.
    fn is_transient(self) -> bool {
        match self {
            Self::Dns
            | Self::Connect
            | Self::Tls
            | Self::Timeout
            | Self::Disconnected
            | Self::BatchDeadline
            | Self::ShuttingDown
            | Self::Internal => true,
            Self::InvalidRequest
            | Self::Blocked
            | Self::TooManyRedirects
            | Self::Protocol
            | Self::Decode
            | Self::BodyTooLarge => false,
        }
    }

    /// Returns the name to use in logs and metrics. It's the contract's name in lower
    /// case.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::Blocked => "blocked",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::TooManyRedirects => "too_many_redirects",
            Self::Protocol => "protocol",
            Self::Disconnected => "disconnected",
            Self::Decode => "decode",
            Self::BodyTooLarge => "body_too_large",
            Self::BatchDeadline => "batch_deadline",
            Self::ShuttingDown => "shutting_down",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
