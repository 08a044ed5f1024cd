//! One step of a redirect chain (RFC 9110, 15.4).

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use url::Url;

use crate::{
    connect::Origin,
    credentials::take_authorization,
    decode,
    egress::Policy,
    http1,
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

    /// Whom to send it to.
    pub(super) fn origin(&self) -> Result<Origin, FetchError> {
        let origin = Origin::of(&self.uri);
        origin.ok_or_else(|| FetchError::new(Reason::Internal, "a URL without a host"))
    }

    /// The request, beside its head.
    pub(super) fn outline(&self) -> http1::Outline {
        http1::Outline {
            is_head: self.method == Method::HEAD,
            expects_body: self.expects_body(),
            body: self.body.clone(),
        }
    }

    fn expects_body(&self) -> bool {
        matches!(self.method, Method::POST | Method::PUT | Method::PATCH)
    }

    /// Returns true if sending it twice is the same as once.
    pub(super) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// Writes the head of the request onto the end of `out`.
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
        if !self.is_raw() {
            default(header::ACCEPT_ENCODING, decode::ACCEPT_ENCODING);
        }
        // RFC 9110, 8.6: so that the origin does not wait for a body.
        if self.expects_body() || !self.body.is_empty() {
            line(
                &header::CONTENT_LENGTH,
                self.body.len().to_string().as_bytes(),
            );
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether the caller asked for the body as it comes: by a coding of its
    /// own choice, or by a range, which is one of the encoded body.
    pub(super) fn is_raw(&self) -> bool {
        let asked = [header::ACCEPT_ENCODING, header::RANGE];
        asked.iter().any(|name| self.headers.contains_key(name))
    }

    /// What `response` asks for, after `redirects` of at most `max_redirects`.
    pub(super) fn next(
        &self,
        response: &http1::Head,
        redirects: u32,
        max_redirects: u32,
    ) -> Result<Next<'a>, FetchError> {
        let status = response.status;
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let Some(location) = response.headers.get("location") else {
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

    fn target(&self, location: &[u8]) -> Result<Uri, FetchError> {
        let malformed = |problem: String| {
            let message = format!("the Location of a redirect {problem}");
            FetchError::new(Reason::Protocol, message)
        };
        let location =
            std::str::from_utf8(location).map_err(|_| malformed("is not UTF-8".to_owned()))?;
        if location.len() > Request::MAX_URL {
            return Err(malformed(format!(
                "has {} bytes; at most {} are followed",
                location.len(),
                Request::MAX_URL
            )));
        }
        let base = Url::parse(&self.uri.to_string());
        // The URL standard skips tabs, wherever they are.
        let location = &location.replace('\t', "");
        let url = base.and_then(|base| match authority_of(location) {
            // The parser takes no more than two slashes.
            Some(rest) => Url::parse(&format!("{}://{rest}", base.scheme())),
            None => base.join(location),
        });
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

/// What follows the slashes of a reference without a scheme that begins with two
/// of them or more, all of which the URL standard skips (URL, "special authority
/// ignore slashes state").
fn authority_of(location: &str) -> Option<&str> {
    let location = location.trim_start_matches(|char| char <= ' ');
    let rest = location.trim_start_matches(['/', '\\']);
    (location.len() - rest.len() >= 2).then_some(rest)
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
