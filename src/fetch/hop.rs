//! One step of a redirect chain (RFC 9110, 15.4).

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header,
    uri::{Authority, PathAndQuery},
};
use hyper::Response;
use url::Url;

use super::Upload;
use crate::{
    credentials::take_authorization,
    decode,
    egress::Policy,
    request::{Request, to_uri},
    response::{FetchError, Reason},
};

/// What one step sends. The first is all of the caller's.
pub(super) struct Hop<'a> {
    pub(super) uri: Uri,
    method: Method,
    headers: Cow<'a, HeaderMap>,
    pub(super) body: Bytes,
}

/// What a response asks for.
pub(super) enum Next<'a> {
    Final,
    Redirect(Box<Hop<'a>>),
}

/// What belongs to the origin it was meant for.
const CREDENTIALS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
];

impl<'a> Hop<'a> {
    /// The request as the caller wants it sent.
    pub(super) fn first(request: &'a Request) -> Self {
        Self {
            uri: request.uri.clone(),
            method: request.method.clone(),
            headers: Cow::Borrowed(&request.headers),
            body: request.body.clone(),
        }
    }

    /// The message to send. hyper adds Host and, for a body, Content-Length.
    pub(super) fn message(
        &self,
        upload: Upload,
        user_agent: &HeaderValue,
    ) -> http::Request<Upload> {
        let mut message = http::Request::new(upload);
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = self.uri.clone();
        let headers = message.headers_mut();
        headers.clone_from(&self.headers);
        let mut set_default = |name, value: &HeaderValue| {
            headers.entry(name).or_insert_with(|| value.clone());
        };
        set_default(header::USER_AGENT, user_agent);
        set_default(header::ACCEPT, &HeaderValue::from_static("*/*"));
        if !self.is_raw() {
            set_default(header::ACCEPT_ENCODING, &decode::ACCEPTED);
        }
        let expects_body = matches!(self.method, Method::POST | Method::PUT | Method::PATCH);
        if self.body.is_empty() && expects_body {
            // RFC 9110, 8.6: so that the origin does not wait for one.
            set_default(header::CONTENT_LENGTH, &HeaderValue::from_static("0"));
        }
        message
    }

    /// Whether the caller asked for the body as it comes: by a coding of its
    /// own choice, or by a range, which is one of the encoded body.
    pub(super) fn is_raw(&self) -> bool {
        let asked = [header::ACCEPT_ENCODING, header::RANGE];
        asked.iter().any(|name| self.headers.contains_key(name))
    }

    /// The URL of this step.
    pub(super) fn url(&self) -> String {
        let [scheme, authority, path] = [
            self.uri.scheme_str(),
            self.uri.authority().map(Authority::as_str),
            self.uri.path_and_query().map(PathAndQuery::as_str),
        ];
        [scheme, Some("://"), authority, path]
            .map(Option::unwrap_or_default)
            .concat()
    }

    /// What `response` asks for, after `redirects` of at most `max_redirects`.
    pub(super) fn next<B>(
        &self,
        response: &Response<B>,
        redirects: u32,
        max_redirects: u32,
    ) -> Result<Next<'a>, FetchError> {
        let status = response.status();
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = response.headers().get(header::LOCATION) else {
            return Ok(Next::Final);
        };
        if !is_redirect || max_redirects == 0 {
            return Ok(Next::Final);
        }
        if redirects == max_redirects {
            let message = format!("more than {max_redirects} redirects");
            return Err(FetchError::new(Reason::TooManyRedirects, message));
        }
        let uri = self.target(location)?;
        Ok(Next::Redirect(Box::new(self.redirected(uri, status))))
    }

    fn target(&self, location: &HeaderValue) -> Result<Uri, FetchError> {
        let malformed = |problem: String| {
            let message = format!("the Location of a redirect {problem}");
            FetchError::new(Reason::Protocol, message)
        };
        let location = std::str::from_utf8(location.as_bytes())
            .map_err(|_| malformed("is not UTF-8".to_owned()))?;
        if location.len() > Request::MAX_URL {
            return Err(malformed(format!(
                "has {} bytes; at most {} are followed",
                location.len(),
                Request::MAX_URL
            )));
        }
        let base = Url::parse(&self.url());
        let url = base.and_then(|base| base.join(location));
        let mut url = url.map_err(|error| malformed(format!("is not valid ({error})")))?;
        Policy::judge_scheme(url.scheme())
            .map_err(|denied| FetchError::denied(denied.to_string(), denied.rule()))?;
        // Credentials are the caller's to give, not the origin's.
        take_authorization(&mut url);
        to_uri(url).map_err(malformed)
    }

    fn redirected(&self, uri: Uri, status: StatusCode) -> Self {
        let mut next = Self {
            uri,
            method: self.method.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        };
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            drop_headers(next.headers.to_mut(), |name| {
                name.as_str().starts_with("content-")
            });
        }
        if !is_same_origin(&next.uri, &self.uri) {
            drop_headers(next.headers.to_mut(), |name| CREDENTIALS.contains(name));
        }
        next
    }
}

/// Whether scheme, host and port are the same. A default port is never in a
/// URI that was a URL.
fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

fn drop_headers(headers: &mut HeaderMap, is_dropped: impl Fn(&HeaderName) -> bool) {
    let dropped: Vec<_> = headers
        .keys()
        .filter(|name| is_dropped(name))
        .cloned()
        .collect();
    for name in dropped {
        headers.remove(name);
    }
}
