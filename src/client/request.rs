//! One HTTP request.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use url::Url;

use super::Error;
use crate::proto;

/// One HTTP request: converted from a URL or from a `reqwest::Request`, or built.
///
/// The service checks the request. If it is not valid, its result is an error.
#[derive(Debug, Clone)]
pub struct Request {
    message: proto::FetchRequest,
    /// Set if the request cannot be sent.
    problem: Option<Error>,
}

impl Request {
    /// Returns a request for `url` with this `method`.
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

    /// Returns a GET request for `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// Returns a POST request of `body` to `url`.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// Returns a request that ends with [`Error::Unsendable`] and is never sent. It
    /// keeps the place in a list for input that could not be turned into a request.
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

    /// Sets the time limit for the request from its dispatch, with all retries.
    /// Default: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options().timeout = Some(duration(timeout));
        self
    }

    /// Sets the time that the origin may send nothing. Default: 15 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options().idle_timeout = Some(duration(timeout));
        self
    }

    /// Sets the time limit for connecting. Default: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options().connect_timeout = Some(duration(timeout));
        self
    }

    /// Sets the number of redirects to follow. With 0, a redirect is the response.
    /// Default: 10.
    #[must_use]
    pub fn max_redirects(mut self, count: u32) -> Self {
        self.options().max_redirects = Some(count);
        self
    }

    /// Sets the size of the largest body to accept, in bytes. Default: 10 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: u64) -> Self {
        self.options().max_body_bytes = Some(bytes);
        self
    }

    /// Makes a larger body end at `max_body_bytes`. By default, the request fails.
    #[must_use]
    pub fn truncate_body(mut self) -> Self {
        self.options()
            .set_body_overflow(proto::BodyOverflow::Truncate);
        self
    }

    /// Sets the number of attempts, including the first. Default: 3.
    #[must_use]
    pub fn max_attempts(mut self, count: u32) -> Self {
        self.options().max_attempts = Some(count);
        self
    }

    /// Returns the approximate size of the message, in bytes.
    pub(super) fn size(&self) -> usize {
        let lines = self.message.headers.iter();
        let header_bytes: usize = lines
            .map(|line| line.name.len() + line.value.len() + 8)
            .sum();
        self.message.url.len() + self.message.body.len() + header_bytes + 64
    }

    /// Returns the message to send, or the reason why the request cannot be sent.
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
    /// Converts a request of reqwest. If its body is a stream, the request ends with
    /// [`Error::Unsendable`]: only a body in memory can be sent.
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
            // The service sets the length of the same body.
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

/// Converts a duration. The longest that the message can hold stands for any longer one.
pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}
