//! What became of one request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use reqwest::ResponseBuilderExt;
use url::Url;

use super::Error;
use crate::proto;

/// What became of one request: a response, an error, or both where the body
/// was cut short.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The position of the request in its list.
    pub index: usize,
    /// What the origin answered.
    pub response: Option<Response>,
    /// Unset: the response is there, and complete.
    pub error: Option<Error>,
    /// How it came about.
    pub stats: Stats,
}

/// An origin's response, with its body in memory.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status, of any class.
    pub status: StatusCode,
    /// Header lines, duplicates kept.
    pub headers: HeaderMap,
    /// The URL that answered: the last one where redirects were followed.
    pub url: Url,
    /// The version of HTTP that the origin spoke.
    pub version: Version,
    /// The body.
    pub body: Bytes,
}

/// How the end of a request came about. Also among the extensions of a
/// `reqwest::Response`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// How many attempts were made; 0: never dispatched.
    pub attempts: u32,
    /// How many redirects the last attempt followed.
    pub redirects: u32,
    /// The body was cut at `max_body_bytes`, as asked for.
    pub truncated: bool,
    /// All waits for a slot together.
    pub queued: Duration,
    /// From the dispatch to the head of the final response.
    pub first_byte: Option<Duration>,
    /// From the first dispatch to the end by the wall clock.
    pub total: Option<Duration>,
    /// Looking up the name, for the last hop of the last attempt. `None`, as the
    /// two below: not reached, not needed, or over a reused connection.
    pub dns: Option<Duration>,
    /// Connecting, by TCP, and through the service's proxy if there is one.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// The last hop of the last attempt went over a connection that had carried a
    /// request before.
    pub connection_reused: bool,
}

impl Outcome {
    /// The complete response, as reqwest gives it, or the error.
    ///
    /// # Errors
    ///
    /// Where there is no complete response.
    pub fn into_result(self) -> Result<reqwest::Response, Error> {
        match (self.error, self.response) {
            (Some(error), _) => Err(error),
            (None, Some(response)) => Ok(response.into_reqwest(self.stats)),
            (None, None) => Err(Error::Contract("an end with neither response nor error")),
        }
    }

    /// Whether the service that was asked went before the request was done.
    pub(super) fn is_of_a_shutdown(&self) -> bool {
        let reason = self.error.as_ref().and_then(Error::reason);
        reason == Some(proto::Reason::ShuttingDown)
    }

    /// The outcome of a request that was lost with its call.
    pub(super) fn lost(index: usize, error: Error) -> Self {
        Self {
            index,
            response: None,
            error: Some(error),
            stats: Stats::default(),
        }
    }
}

impl Response {
    /// The response of `head`, without a body.
    pub(super) fn new(head: proto::ResponseHead) -> Result<Self, Error> {
        let invalid = || Error::Contract("a head that is no HTTP response");
        let status = u16::try_from(head.status).map_err(|_| invalid())?;
        let version = match head.version() {
            proto::HttpVersion::Http10 => Version::HTTP_10,
            proto::HttpVersion::Http2 => Version::HTTP_2,
            proto::HttpVersion::Http3 => Version::HTTP_3,
            proto::HttpVersion::Http11 | proto::HttpVersion::Unspecified => Version::HTTP_11,
        };
        let mut headers = HeaderMap::new();
        for line in head.headers {
            let name = HeaderName::try_from(line.name).map_err(|_| invalid())?;
            let value = HeaderValue::from_maybe_shared(line.value).map_err(|_| invalid())?;
            headers.try_append(name, value).map_err(|_| invalid())?;
        }
        Ok(Self {
            status: StatusCode::from_u16(status).map_err(|_| invalid())?,
            headers,
            url: Url::parse(&head.url).map_err(|_| invalid())?,
            version,
            body: Bytes::new(),
        })
    }

    /// The same response in reqwest's type, with `stats` among its extensions.
    pub fn into_reqwest(self, stats: Stats) -> reqwest::Response {
        let body = self.body.clone();
        let mut response = self.with_body(body);
        response.extensions_mut().insert(stats);
        response
    }

    /// The head in reqwest's type, over `body`.
    pub(super) fn with_body(self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let mut response = http::Response::builder()
            .url(self.url)
            .body(body)
            .expect("a response of nothing but a URL can be built");
        *response.status_mut() = self.status;
        *response.version_mut() = self.version;
        *response.headers_mut() = self.headers;
        response.into()
    }
}

impl From<&proto::FetchEnd> for Stats {
    fn from(end: &proto::FetchEnd) -> Self {
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
