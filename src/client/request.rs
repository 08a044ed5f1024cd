//! A single HTTP request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, header};
use url::Url;

use super::Error;
use crate::proto;

/// A single HTTP request. You can convert one from a URL or a `reqwest::Request`, or
/// build it yourself.
///
/// It's the service that validates the request, so an invalid one simply results in an
/// error.
#[derive(Debug, Clone)]
pub struct Request {
    message: proto::FetchRequest,
    /// Set if we can't send this request.
    problem: Option<Error>,
}

impl Request {
    /// Creates a request for `url` with the given method.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        let message = proto::FetchRequest {
            url: url.into(),
            method: method.into(),
            ..Default::default()
        };
        Self {
            message,
            problem: None,
        }
    }

    /// Creates a GET request for `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Creates a request that POSTs `body` to `url`.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// Creates a request that is never sent and always ends with [`Error::Unsendable`].
    /// This is useful if some of your input can't be turned into a request, but has to
    /// keep its place in the list.
    pub fn unsendable(problem: impl Into<String>) -> Self {
        Self {
            message: proto::FetchRequest::default(),
            problem: Some(Error::unsendable(problem)),
        }
    }

    /// Adds a header line.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<Bytes>) -> Self {
        self.message.headers.push(proto::Header {
            name: name.into(),
            value: value.into(),
        });
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.message.body = body.into();
        self
    }

    /// Sets the request timeout. It starts when the request is dispatched and includes
    /// all retries. Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options().timeout = Some(duration(timeout));
        self
    }

    /// Sets how long the origin may stay silent. Default: 15 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options().idle_timeout = Some(duration(timeout));
        self
    }

    /// Sets the connect timeout. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options().connect_timeout = Some(duration(timeout));
        self
    }

    /// Sets how many redirects to follow. If this is 0, you get the redirect itself as
    /// the response. Default: 10.
    #[must_use]
    pub fn max_redirects(mut self, count: u32) -> Self {
        self.options().max_redirects = Some(count);
        self
    }

    /// Sets the max body size to accept, in bytes. Default: 10 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: u64) -> Self {
        self.options().max_body_bytes = Some(bytes);
        self
    }

    /// Cuts larger bodies off at `max_body_bytes`. By default, the request fails
    /// instead.
    #[must_use]
    pub fn truncate_body(mut self) -> Self {
        self.options()
            .set_body_overflow(proto::BodyOverflow::Truncate);
        self
    }

    /// Sets the max number of attempts, including the first one. Default: 3.
    #[must_use]
    pub fn max_attempts(mut self, count: u32) -> Self {
        self.options().max_attempts = Some(count);
        self
    }

    /// Returns the method.
    pub fn method(&self) -> &str {
        &self.message.method
    }

    /// Returns the header lines in their order. The client's default headers and those
    /// that the service adds, such as `host`, aren't among them.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
        let lines = self.message.headers.iter();
        lines.map(|line| (line.name.as_str(), &line.value[..]))
    }

    /// Returns the body. It's empty if there's none.
    pub fn body_bytes(&self) -> &Bytes {
        &self.message.body
    }

    /// Returns true if the request has a header called `name`, in any case.
    pub(super) fn has_header(&self, name: &HeaderName) -> bool {
        let mut lines = self.message.headers.iter();
        lines.any(|line| line.name.eq_ignore_ascii_case(name.as_str()))
    }

    /// Returns true if there's a user name or a password in the URL.
    pub(super) fn has_credentials(&self) -> bool {
        let url = Url::parse(&self.message.url);
        url.is_ok_and(|url| !url.username().is_empty() || url.password().is_some())
    }

    /// Estimates the message size, in bytes.
    pub(super) fn size(&self) -> usize {
        let lines = self.message.headers.iter();
        let header_bytes: usize = lines
            .map(|line| line.name.len() + line.value.len() + 8)
            .sum();
        self.message.url.len() + self.message.body.len() + header_bytes + 64
    }

    /// Returns the message to send, or an error if we can't send the request.
    pub(super) fn into_message(self) -> Result<proto::FetchRequest, Error> {
        match self.problem {
            Some(problem) => Err(problem),
            None => Ok(self.message),
        }
    }

    fn options(&mut self) -> &mut proto::FetchOptions {
        self.message.options.get_or_insert_default()
    }
}

impl From<&str> for Request {
    fn from(url: &str) -> Self {
        Self::get(url)
    }
}

impl From<String> for Request {
    fn from(url: String) -> Self {
        Self::get(url)
    }
}

impl From<&String> for Request {
    fn from(url: &String) -> Self {
        Self::get(url)
    }
}

impl From<Url> for Request {
    fn from(url: Url) -> Self {
        Self::get(url)
    }
}

impl From<&Url> for Request {
    fn from(url: &Url) -> Self {
        Self::get(url.clone())
    }
}

impl From<reqwest::Request> for Request {
    /// Converts a reqwest request, i.e. its method, URL, headers, body and timeout.
    ///
    /// The settings of the `reqwest::Client` that built it aren't part of it: default
    /// headers, user agent, timeouts, redirect policy, cookies, proxies, TLS, connection
    /// pool, HTTP/2, retries and middleware. Set the first four for all requests of a
    /// client with [`Client::builder`], or for a single one here. [`Builder`] has a list
    /// of the others. The HTTP version doesn't carry over either, since the service uses
    /// HTTP/1.1 for all origins.
    ///
    /// Note that the body has to be in memory. If it's a stream, the request ends with
    /// [`Error::Unsendable`].
    ///
    /// [`Client::builder`]: super::Client::builder
    /// [`Builder`]: super::Builder
    fn from(request: reqwest::Request) -> Self {
        let mut converted = Self::new(request.method().as_str(), request.url().as_str());
        match request.body().map(reqwest::Body::as_bytes) {
            Some(Some(body)) => converted.message.body = Bytes::copy_from_slice(body),
            Some(None) => {
                converted.problem =
                    Some(Error::unsendable("expected a body in memory, got a stream"));
            }
            None => {}
        }
        for (name, value) in request.headers() {
            // Skip the content length. The service sets it itself, and the body is the
            // same.
            if name != header::CONTENT_LENGTH {
                let value = Bytes::copy_from_slice(value.as_bytes());
                converted = converted.header(name.as_str(), value);
            }
        }
        match request.timeout() {
            Some(timeout) => converted.timeout(*timeout),
            None => converted,
        }
    }
}

/// Converts a duration. If it's too long for the message type, we use the longest one
/// that isn't.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}
