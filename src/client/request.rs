//! A request as a caller writes it.

use std::time::Duration;

use bytes::Bytes;
use http::header;
use url::Url;

use super::Error;
use crate::proto;

/// One HTTP request. Made from a URL, from a `reqwest::Request`, or built. What
/// is not valid is refused by the service, in the place of its result.
#[derive(Debug, Clone)]
pub struct Request {
    message: proto::FetchRequest,
    problem: Option<Error>,
}

impl Request {
    /// A request with `method` for `url`.
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

    /// A GET for `url`.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new("GET", url)
    }

    /// A POST of `body` to `url`.
    pub fn post(url: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::new("POST", url).body(body)
    }

    /// A request that is known to be wrong. It ends with
    /// [`Error::Unsendable`] in its place, and no service sees it.
    pub fn unsendable(problem: impl Into<String>) -> Self {
        Self {
            message: proto::FetchRequest::default(),
            problem: Some(Error::Unsendable(problem.into())),
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

    /// How long the request may take from its dispatch, retries included.
    /// Unset: 30 s.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options().timeout = Some(duration(timeout));
        self
    }

    /// The longest silence of the origin. Unset: 15 s.
    #[must_use]
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.options().idle_timeout = Some(duration(timeout));
        self
    }

    /// How long connecting may take. Unset: 5 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.options().connect_timeout = Some(duration(timeout));
        self
    }

    /// How many redirects to follow; 0: a redirect is the response. Unset: 10.
    #[must_use]
    pub fn max_redirects(mut self, count: u32) -> Self {
        self.options().max_redirects = Some(count);
        self
    }

    /// The largest body to accept, in bytes. Unset: 10 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: u64) -> Self {
        self.options().max_body_bytes = Some(bytes);
        self
    }

    /// Cuts a larger body, where otherwise the request fails.
    #[must_use]
    pub fn truncate_body(mut self) -> Self {
        self.options()
            .set_body_overflow(proto::BodyOverflow::Truncate);
        self
    }

    /// How often to try, the first time included. Unset: 3.
    #[must_use]
    pub fn max_attempts(mut self, count: u32) -> Self {
        self.options().max_attempts = Some(count);
        self
    }

    /// How many bytes its message has, about.
    pub(super) fn size(&self) -> usize {
        let headers = self.message.headers.iter();
        let headers = headers.map(|line| line.name.len() + line.value.len() + 8);
        self.message.url.len() + self.message.body.len() + headers.sum::<usize>() + 64
    }

    /// The message to send, or why there is none.
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
    /// A body that is a stream has no bytes to hand over: the request then ends
    /// with [`Error::Unsendable`].
    fn from(request: reqwest::Request) -> Self {
        let mut converted = Self::new(request.method().as_str(), request.url().as_str());
        match request.body().map(reqwest::Body::as_bytes) {
            Some(Some(body)) => converted.message.body = Bytes::copy_from_slice(body),
            Some(None) => {
                converted.problem = Some(Error::Unsendable("its body is a stream".to_owned()));
            }
            None => {}
        }
        for (name, value) in request.headers() {
            // The service says the same of the same body.
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

pub(super) fn duration(duration: Duration) -> prost_types::Duration {
    let longest = prost_types::Duration {
        seconds: i64::MAX,
        nanos: 0,
    };
    prost_types::Duration::try_from(duration).unwrap_or(longest)
}
