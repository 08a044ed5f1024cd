//! The result of a request: a head, parts of a body, and always exactly one end.

mod headers;

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{StatusCode, Uri, Version};

use crate::request::InvalidRequest;
pub(crate) use headers::Headers;

/// A piece of the result of one request. Most results have a single part.
#[derive(Debug)]
pub(crate) struct Part {
    /// Position of the request in its batch.
    pub(crate) index: u32,
    /// Set in the first part if the origin responded.
    pub(crate) head: Option<Head>,
    /// The next bytes of the body, at most [`Part::MAX_BODY`].
    pub(crate) body: Bytes,
    /// Set in the last part.
    pub(crate) end: Option<End>,
}

/// The head of an origin's response.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status, of any class.
    pub(crate) status: StatusCode,
    /// Header lines, duplicates kept.
    pub(crate) headers: Headers,
    /// The URL of the final response, without user info and fragment.
    pub(crate) url: Uri,
    /// The version the origin spoke.
    pub(crate) version: Version,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) struct End {
    /// `None` if the response is complete.
    pub(crate) error: Option<FetchError>,
    /// The number of attempts; 0 if the request was never dispatched.
    pub(crate) attempts: u32,
    /// The number of redirects that the last attempt followed.
    pub(crate) redirects: u32,
    /// The size of the body as sent to the caller.
    pub(crate) body_bytes: u64,
    /// The body was truncated at its limit, as the request asked.
    pub(crate) truncated: bool,
    /// How long each step took.
    pub(crate) timing: Timing,
}

/// How long each step of one request took.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// The total time spent waiting for a slot.
    pub(crate) queued: Duration,
    /// From the first dispatch to the head of the final response.
    pub(crate) first_byte: Option<Duration>,
    /// From the first dispatch to the end, waits included.
    pub(crate) total: Option<Duration>,
    /// How the last hop of the last attempt got its connection.
    pub(crate) phases: Phases,
}

/// How one hop got its connection. A phase is `None` if it was not reached or not
/// needed. On a reused connection, all are `None`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phases {
    /// The DNS lookup. Also `None` if the host is an address, or if a proxy is used.
    pub(crate) dns: Option<Duration>,
    /// The TCP connect, and the tunnel through the proxy if there is one.
    pub(crate) connect: Option<Duration>,
    /// The TLS handshake.
    pub(crate) tls: Option<Duration>,
    /// The connection had carried a request before.
    pub(crate) is_reused: bool,
}

/// Why a request has no complete response.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub(crate) struct FetchError {
    /// The kind of error.
    pub(crate) reason: Reason,
    /// A description for people, without credentials and query strings.
    pub(crate) message: String,
    /// True if the same request may succeed later.
    pub(crate) retryable: bool,
    /// The rule of the egress policy that denied the request, if one did.
    pub(crate) rule: Option<&'static str>,
}

/// The kind of an error. The contract's `Reason` describes each.
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
    /// The most bytes of body in one part.
    pub(crate) const MAX_BODY: usize = 64 << 10;

    /// Returns the approximate size of the part in memory and in a message, in
    /// bytes.
    pub(crate) fn weight(&self) -> usize {
        /// The index, the end, the timing and their framing.
        const FIXED: usize = 128;
        /// The overhead of a header line.
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
    /// Returns the same end, marked as that of a truncated body.
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
    /// Creates an error that is retryable if its reason usually is.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retryable: reason.is_transient(),
            rule: None,
        }
    }

    /// Creates the error of a request that the egress policy denied by `rule`.
    pub(crate) fn denied(message: impl Into<String>, rule: &'static str) -> Self {
        Self {
            rule: Some(rule),
            ..Self::new(Reason::Blocked, message)
        }
    }

    /// Returns the same error, marked as not retryable.
    #[must_use]
    pub(crate) fn permanent(self) -> Self {
        Self {
            retryable: false,
            ..self
        }
    }
}

impl Reason {
    /// Returns true if another attempt may succeed, unless more is known about the
    /// error.
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

    /// Returns the name for logs and metrics: the contract's, in lower case.
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
