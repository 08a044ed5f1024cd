//! Request URLs.

use http::Uri;
use url::Url;

use super::{InvalidRequest, Request, invalid::excerpt};

const EXPECTED: &str = "expected an absolute http or https URL";

/// Parses an absolute `http` or `https` URL.
pub(super) fn parse(url: &str) -> Result<Url, InvalidRequest> {
    let invalid = |problem: String| Err(InvalidRequest::new("url", problem));
    if url.is_empty() {
        return invalid(format!("{EXPECTED}, got an empty one"));
    }
    if url.len() > Request::MAX_URL {
        return invalid(format!(
            "expected at most {} bytes, got {}",
            Request::MAX_URL,
            url.len()
        ));
    }
    if !has_host(url) {
        return invalid(format!("{EXPECTED}, got one without a host"));
    }
    // It's fine to show the parser's message. It never contains the URL, so it can't leak
    // any secrets.
    let parsed = match Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return invalid(format!("{EXPECTED} ({error})")),
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        return invalid(format!(
            "{EXPECTED}, got the scheme '{}'",
            excerpt(parsed.scheme())
        ));
    }
    Ok(parsed)
}

/// Returns true if `url` has a scheme, and a host right after `://`. We have to check
/// this ourselves: if there's no host, the parser would take it from the path, just like
/// browsers do.
fn has_host(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else {
        return false;
    };
    let mut scheme = scheme.trim_start().bytes();
    scheme.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !rest.starts_with(['/', '\\'])
}

/// Converts a URL to the form we send it in, i.e. without the fragment.
pub(crate) fn to_uri(mut url: Url) -> Result<Uri, String> {
    /// The longest DNS name in text form (RFC 1035, 3.1). Longer hosts are invalid.
    const MAX_HOST: usize = 253;

    let host = url.host_str().unwrap_or_default();
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > MAX_HOST || name.split('.').any(str::is_empty) {
        return Err(format!(
            "has an invalid host: expected 1 to {MAX_HOST} bytes and no empty label"
        ));
    }
    url.set_fragment(None);
    // Check this again, since percent-encoding may have made it longer.
    if url.as_str().len() > Request::MAX_URL {
        return Err(format!(
            "has {} bytes when encoded, expected at most {}",
            url.as_str().len(),
            Request::MAX_URL
        ));
    }
    let uri = Uri::try_from(String::from(url));
    uri.map_err(|error| format!("cannot be sent ({error})"))
}
