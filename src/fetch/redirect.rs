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

/// What to do after a response.
pub(super) enum Next<'a> {
    /// Return this response to the caller.
    Final,
    /// Follow the redirect to another hop.
    Redirect(Box<Hop<'a>>),
}

/// We don't pass these headers on to another origin.
const CREDENTIALS: [HeaderName; 3] = [
    header::AUTHORIZATION,
    header::COOKIE,
    header::PROXY_AUTHORIZATION,
];

impl<'a> Hop<'a> {
    /// Decides what to do with `response`, after following `redirects` redirects so far.
    /// It's an error if there'd be more than `max_redirects`. If that's 0, we don't
    /// follow any, and the redirect itself is the final response.
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

    /// Resolves a Location header against this hop's URL.
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
        // According to the URL standard, tabs are ignored no matter where they are.
        let reference = text.replace('\t', "");
        let mut url = join(&self.uri, &reference)
            .map_err(|error| malformed(format!("is not a valid URL ({error})")))?;
        Policy::check_scheme(url.scheme())
            .map_err(|denied| FetchError::denied(denied.to_string(), denied.rule()))?;
        // Drop any credentials. Only the caller gets to choose them.
        take_authorization(&mut url);
        to_uri(url).map_err(malformed)
    }

    /// Returns the next hop, given a redirect to `uri` with this `status`.
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

fn join(base: &Uri, reference: &str) -> Result<Url, url::ParseError> {
    let base = Url::parse(&base.to_string())?;
    match strip_slashes(reference) {
        // We have to do this ourselves, since `Url::join` won't skip more than two
        // slashes.
        Some(rest) => Url::parse(&format!("{}://{rest}", base.scheme())),
        None => base.join(reference),
    }
}

/// If `reference` begins with two or more slashes, returns everything after them. Per the
/// URL standard, all of them are skipped ("special authority ignore slashes state").
fn strip_slashes(reference: &str) -> Option<&str> {
    let trimmed = reference.trim_start_matches(|char| char <= ' ');
    let rest = trimmed.trim_start_matches(['/', '\\']);
    (trimmed.len() - rest.len() >= 2).then_some(rest)
}

/// Returns true if both have the same scheme, host and port. We can simply compare the
/// ports, since normalised URIs never contain the default one.
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
