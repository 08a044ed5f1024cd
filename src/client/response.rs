//! An origin's response.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version};
use reqwest::ResponseBuilderExt;
use url::Url;

use super::{Error, FetchStats};
use crate::proto;

/// An origin's response, with the whole body in memory.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Response {
    /// The status code. Error codes such as 404 end up here too.
    pub status: StatusCode,
    /// The header lines, including duplicates.
    pub headers: HeaderMap,
    /// The URL this response came from. After redirects, that's the last one.
    pub url: Url,
    /// The HTTP version the origin used.
    pub version: Version,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// Converts a response head. The body is empty at first.
    pub(super) fn from_head(head: proto::ResponseHead) -> Result<Self, Error> {
        let invalid = || Error::contract("a head that is not valid HTTP");
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

    /// Converts to reqwest's type. You'll find `stats` in the extensions.
    pub fn into_reqwest(self, stats: FetchStats) -> reqwest::Response {
        let body = self.body.clone();
        let mut response = self.with_body(body);
        response.extensions_mut().insert(stats);
        response
    }

    /// Converts the head to reqwest's type and attaches `body`.
    pub(super) fn with_body(self, body: impl Into<reqwest::Body>) -> reqwest::Response {
        let mut response = http::Response::builder()
            .url(self.url)
            .body(body)
            .expect("a builder fails on invalid headers only, and has none yet");
        *response.status_mut() = self.status;
        *response.version_mut() = self.version;
        *response.headers_mut() = self.headers;
        response.into()
    }
}
