//! Redirects (RFC 9110, 15.4).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header};
use url::Url;

use super::hop::Hop;
use crate::{
    credentials::take_authorization,
    egress::Policy,
    http1,
    request::{Request, to_uri},
    response::{FetchError, Reason},
};

/// The step after a response.
pub(super) enum Next<'a> {
    /// The response is final.
    Final,
    /// The response redirects to another hop.
    Redirect(Box<Hop<'a>>),
}

/// Headers that are not sent to another origin.
const CREDENTIALS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
];

impl<'a> Hop<'a> {
    /// Decides whether `response` is final, after `redirects` of at most `max_redirects`.
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
        let uri = self.resolve_location(location)?;
        Ok(Next::Redirect(Box::new(self.redirected(uri, status))))
    }

    /// Resolves the value of a Location header against the URL of this hop.
    fn resolve_location(&self, location: &[u8]) -> Result<Uri, FetchError> {
        let malformed = |problem: String| {
            let message = format!("the Location of a redirect {problem}");
            FetchError::new(Reason::Protocol, message)
        };
        let text =
            std::str::from_utf8(location).map_err(|_| malformed("is not UTF-8".to_owned()))?;
        if text.len() > Request::MAX_URL {
            return Err(malformed(format!(
                "has {} bytes: expected at most {}",
                text.len(),
                Request::MAX_URL
            )));
        }
        // The URL standard ignores tabs anywhere in a URL.
        let reference = text.replace('\t', "");
        let mut url = join(&self.uri, &reference)
            .map_err(|error| malformed(format!("is not a valid URL ({error})")))?;
        Policy::check_scheme(url.scheme())
            .map_err(|denied| FetchError::denied(denied.to_string(), denied.rule()))?;
        // Only the caller may choose credentials.
        take_authorization(&mut url);
        to_uri(url).map_err(malformed)
    }

    /// Returns the hop that follows a redirect with `status` to `uri`.
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
            remove_headers(next.headers.to_mut(), |name| {
                name.as_str().starts_with("content-")
            });
        }
        if !is_same_origin(&next.uri, &self.uri) {
            remove_headers(next.headers.to_mut(), |name| CREDENTIALS.contains(name));
        }
        next
    }
}

/// Resolves `reference` against `base`.
fn join(base: &Uri, reference: &str) -> Result<Url, url::ParseError> {
    let base = Url::parse(&base.to_string())?;
    match strip_slashes(reference) {
        // `Url::join` skips no more than two slashes.
        Some(rest) => Url::parse(&format!("{}://{rest}", base.scheme())),
        None => base.join(reference),
    }
}

/// Returns the text behind the slashes of a reference that begins with two or more of
/// them. The URL standard skips all ("special authority ignore slashes state").
fn strip_slashes(reference: &str) -> Option<&str> {
    let trimmed = reference.trim_start_matches(|char| char <= ' ');
    let rest = trimmed.trim_start_matches(['/', '\\']);
    (trimmed.len() - rest.len() >= 2).then_some(rest)
}

/// Returns true if scheme, host and port are the same. Normalised URIs never include a
/// default port.
fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    one.scheme() == other.scheme() && one.authority() == other.authority()
}

fn remove_headers(headers: &mut HeaderMap, is_removed: impl Fn(&HeaderName) -> bool) {
    let names: Vec<_> = headers
        .keys()
        .filter(|name| is_removed(name))
        .cloned()
        .collect();
    for name in names {
        headers.remove(name);
    }
}
