//! A single hop in a chain of redirects.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use crate::{
    connect::Origin,
    decode,
    http1::expects_body,
    request::Request,
    response::{FetchError, Reason},
};

/// The request to send for one hop. For the first hop, that's the caller's request.
pub(super) struct Hop<'a> {
    pub(super) uri: Uri,
    pub(super) method: Method,
    pub(super) headers: Cow<'a, HeaderMap>,
    pub(super) body: Bytes,
}

impl<'a> Hop<'a> {
    /// Creates the first hop of `request`.
    pub(super) fn new(request: &'a Request) -> Self {
        Self {
            uri: request.uri.clone(),
            method: request.method.clone(),
            headers: Cow::Borrowed(&request.headers),
            body: request.body.clone(),
        }
    }

    /// Returns the origin we send the request to.
    pub(super) fn origin(&self) -> Result<Origin, FetchError> {
        Origin::of(&self.uri)
            .ok_or_else(|| FetchError::new(Reason::Internal, "the URL has no host"))
    }

    /// Returns true if it's safe to send the request twice.
    pub(super) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Appends the request head to `out`.
    pub(super) fn write_head(&self, user_agent: &HeaderValue, out: &mut Vec<u8>) {
        let target = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let host = self.uri.authority().map_or("", |host| host.as_str());
        for text in [
            self.method.as_str(),
            " ",
            target,
            " HTTP/1.1\r\nhost: ",
            host,
        ] {
            out.extend_from_slice(text.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        let mut line = |name: &HeaderName, value: &[u8]| {
            for text in [name.as_str().as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(text);
            }
        };
        for (name, value) in &*self.headers {
            line(name, value.as_bytes());
        }
        let mut default = |name: HeaderName, value: &[u8]| {
            if !self.headers.contains_key(&name) {
                line(&name, value);
            }
        };
        default(header::USER_AGENT, user_agent.as_bytes());
        default(header::ACCEPT, b"*/*");
        if !self.wants_raw_body() {
            default(header::ACCEPT_ENCODING, decode::ACCEPT_ENCODING);
        }
        // Send this even if the body is empty. Otherwise the origin might wait for one
        // (RFC 9110, 8.6).
        if expects_body(&self.method) || !self.body.is_empty() {
            line(
                &header::CONTENT_LENGTH,
                self.body.len().to_string().as_bytes(),
            );
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Returns true if we shouldn't decode the body. That's the case if the caller chose
    /// a coding itself, or asked for a range (ranges count the bytes of the encoded
    /// body).
    pub(super) fn wants_raw_body(&self) -> bool {
        let names = [header::ACCEPT_ENCODING, header::RANGE];
        names.iter().any(|name| self.headers.contains_key(name))
    }
}
