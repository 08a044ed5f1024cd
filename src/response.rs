//! What becomes of a request: a head, parts of a body, and always one end.

mod headers;

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{StatusCode, Uri, Version};

use crate::request::InvalidRequest;
pub(crate) use headers::Headers;

/// A piece of the result of one request. Most results are one part.
#[derive(Debug)]
pub(crate) struct Part {
    /// Position of the request in its batch.
    pub(crate) index: u32,
    /// In the first part, where the origin answered.
    pub(crate) head: Option<Head>,
    /// The next bytes of the body: at most [`Part::MAX_BODY`].
    pub(crate) body: Bytes,
    /// In the last part.
    pub(crate) end: Option<End>,
}

/// The head of an origin's response.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status, of any class.
    pub(crate) status: StatusCode,
    /// Header lines, duplicates kept.
    pub(crate) headers: Headers,
    /// The URL that answered, without user info and fragment.
    pub(crate) url: Uri,
    /// The version the origin spoke.
    pub(crate) version: Version,
}

/// How a request came to its end.
#[derive(Debug)]
pub(crate) struct End {
    /// Unset: the response is complete.
    pub(crate) error: Option<FetchError>,
    /// How many attempts were made; 0: never dispatched.
    pub(crate) attempts: u32,
    /// How many redirects the last attempt followed.
    pub(crate) redirects: u32,
    /// The size of the body as sent to the caller.
    pub(crate) body_bytes: u64,
    /// The body was cut at its limit, as asked for.
    pub(crate) truncated: bool,
    /// Where the time went.
    pub(crate) timing: Timing,
}

/// Where the time of one request went.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Timing {
    /// All waits for a slot together.
    pub(crate) queued: Duration,
    /// From the dispatch to the head of the final response.
    pub(crate) first_byte: Option<Duration>,
    /// From the first dispatch to the end by the wall clock.
    pub(crate) total: Option<Duration>,
    /// How the last attempt got its last connection.
    pub(crate) phases: Phases,
}

/// How one hop got its connection. A phase is unset if it was not reached or not
/// needed: all are on a reused connection.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phases {
    /// Looking up the name. Unset also for an address, and with a proxy.
    pub(crate) dns: Option<Duration>,
    /// Connecting, by TCP, and through the proxy if there is one.
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
    /// What happened.
    pub(crate) reason: Reason,
    /// For people. Holds no credentials and no query string.
    pub(crate) message: String,
    /// Whether the same request may succeed later.
    pub(crate) retryable: bool,
    /// The rule of the egress policy, where it denied the request.
    pub(crate) rule: Option<&'static str>,
}

/// What happened, as the contract's `Reason`, where each is described.
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

    /// About what the part takes in memory and in a message, in bytes.
    pub(crate) fn weight(&self) -> usize {
        /// Index, end and timing, and the framing of them all.
        const FIXED: usize = 128;
        /// A header line beyond its text.
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
    /// The same end, of a body that was cut at its limit.
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
    /// An error that may pass, or may not, as its reason usually does.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            retryable: reason.is_usually_passing(),
            rule: None,
        }
    }

    /// A request that the egress policy denied by `rule`.
    pub(crate) fn denied(message: impl Into<String>, rule: &'static str) -> Self {
        Self {
            rule: Some(rule),
            ..Self::new(Reason::Blocked, message)
        }
    }

    /// The same error, said to last.
    pub(crate) fn lasting(self) -> Self {
        Self {
            retryable: false,
            ..self
        }
    }
}

impl Reason {
    /// Whether another try may help, where nothing more is known.
    fn is_usually_passing(self) -> bool {
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

    /// The name in logs: the contract's, in lower case.
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
