//! Requests: one to fetch, its options, and the batches they come in.
//!
//! The constructors check every invariant, so every [`Request`] can be sent. A
//! value above a limit of the service is lowered to it; a value that makes no sense
//! is refused with the name of its field.

mod batch;
mod header;
mod invalid;
mod method;
mod options;
#[cfg(test)]
mod tests;
mod url;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Uri, header::AUTHORIZATION};

pub(crate) use self::url::to_uri;
use crate::credentials::take_authorization;
pub(crate) use batch::{Batch, EncodedRequests, Requests, Sendable};
pub(crate) use invalid::InvalidRequest;
pub(crate) use options::{Options, Overflow};

/// One HTTP request that can be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// An absolute `http` or `https` URL as it is sent: without user info and
    /// fragment.
    pub uri: Uri,
    /// Any upper-case method except CONNECT.
    pub method: Method,
    /// The headers that the caller sets, and the authorization from the URL.
    pub headers: HeaderMap,
    /// The size of all added header lines.
    header_bytes: usize,
    /// The body, or empty if there is none.
    pub body: Bytes,
    /// How to fetch it.
    pub options: Options,
}

impl Request {
    /// The longest method, in bytes. Longer than any registered method.
    pub(crate) const MAX_METHOD: usize = 64;
    /// The longest URL, in bytes.
    pub(crate) const MAX_URL: usize = 16 << 10;
    /// The most header lines. No origin is known to accept more.
    pub(crate) const MAX_HEADERS: usize = 1000;
    /// The most bytes of header names and values. No origin is known to accept more.
    pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;

    /// Creates a request for `url` with the default options. An empty `method` is
    /// GET.
    pub(crate) fn new(url: &str, method: &str) -> Result<Self, InvalidRequest> {
        let method = method::parse(method)?;
        let mut url = url::parse(url)?;
        let mut headers = HeaderMap::new();
        if let Some(authorization) = take_authorization(&mut url) {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(Self {
            uri: to_uri(url).map_err(|problem| InvalidRequest::new("url", problem))?,
            method,
            headers,
            header_bytes: 0,
            body: Bytes::new(),
            options: Options::default(),
        })
    }

    /// Adds a header line. An `Authorization` header replaces the one from the URL.
    pub(crate) fn add_header(&mut self, name: &str, value: Bytes) -> Result<(), InvalidRequest> {
        let (name, value) = header::parse(name, value)?;
        let current = self.headers.get(AUTHORIZATION);
        if name == AUTHORIZATION && current.is_some_and(HeaderValue::is_sensitive) {
            self.headers.remove(AUTHORIZATION);
        }
        if self.headers.len() >= Self::MAX_HEADERS {
            return Err(header::too_many());
        }
        self.header_bytes += name.as_str().len() + value.len();
        if self.header_bytes > Self::MAX_HEADER_BYTES {
            return Err(header::too_large());
        }
        self.headers.append(name, value);
        Ok(())
    }

    /// Returns true if sending the request twice has the same effect as sending it
    /// once (RFC 9110, 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }
}
