//! Requests, their options, and the batches they come in.
//!
//! All invariants are checked when a [`Request`] is created, so every one of them can be
//! sent. If a value exceeds one of the service's limits, we simply lower it. A value that
//! makes no sense is refused, and the error names its field.

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
pub(crate) use batch::{Batch, BatchId, EncodedRequests, Requests, Sendable};
pub(crate) use invalid::InvalidRequest;
pub(crate) use options::{Options, Overflow};

/// An HTTP request, ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// An absolute `http` or `https` URL. There's no user info and no fragment, since
    /// these aren't sent.
    pub uri: Uri,
    /// The method, in upper case. Any method except for CONNECT is possible.
    pub method: Method,
    /// Headers set by the caller. If the URL had user info, there's also an authorization
    /// header.
    pub headers: HeaderMap,
    /// The total size of all header lines that were added.
    header_bytes: usize,
    /// The body. Empty if there isn't one.
    pub body: Bytes,
    /// How to fetch it.
    pub options: Options,
}

impl Request {
    /// The longest method in bytes, which is more than any registered method needs.
    /// Longer ones are refused.
    pub(crate) const MAX_METHOD: usize = 64;
    /// The longest URL in bytes. Longer ones are refused.
    pub(crate) const MAX_URL: usize = 16 << 10;
    /// The maximum number of header lines. We don't know of any origin that accepts more,
    /// so we refuse the request.
    pub(crate) const MAX_HEADERS: usize = 1000;
    /// The maximum size of all header names and values. As above, no origin seems to
    /// accept more, so we refuse the request.
    pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;

    /// Creates a request for `url` with default options. If `method` is empty, GET is
    /// used.
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

    /// Adds a header line. If it's an `Authorization` header, it replaces the one we got
    /// from the URL.
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

    /// Returns true if it makes no difference whether the request is sent once or twice
    /// (RFC 9110, 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }
}
