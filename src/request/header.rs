//! Request header lines.

use bytes::Bytes;
use http::{HeaderName, HeaderValue};

use super::{InvalidRequest, Request, invalid::excerpt};

/// Headers that only the service itself may set.
const RESERVED: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Parses a header line. Headers that the service sets itself are refused.
pub(super) fn parse(name: &str, value: Bytes) -> Result<(HeaderName, HeaderValue), InvalidRequest> {
    let Ok(parsed) = HeaderName::from_bytes(name.as_bytes()) else {
        // Perhaps this "name" is in fact a whole line. Its value might be a secret, so
        // leave it out.
        let start = name.split([':', ' ']).next().unwrap_or_default();
        return Err(invalid(format!(
            "expected a name of letters, digits and !#$%&'*+-.^_`|~, got '{}'",
            excerpt(start)
        )));
    };
    if is_reserved(&parsed) {
        return Err(invalid(format!("only the service sets '{parsed}'")));
    }
    match HeaderValue::from_maybe_shared(value) {
        Ok(value) => Ok((parsed, value)),
        Err(_) => Err(invalid(format!(
            "the value of '{parsed}' has a control character; expected tabs and bytes from 0x20"
        ))),
    }
}

/// Creates the error for a request with too many header lines.
pub(super) fn too_many() -> InvalidRequest {
    let most = Request::MAX_HEADERS;
    invalid(format!("expected at most {most} lines"))
}

/// Creates the error for a request whose header lines are too large.
pub(super) fn too_large() -> InvalidRequest {
    let most = Request::MAX_HEADER_BYTES;
    invalid(format!("expected at most {most} bytes of names and values"))
}

fn invalid(problem: String) -> InvalidRequest {
    InvalidRequest::new("headers", problem)
}

/// Returns true if `name` is a header that only the service itself may set.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    let starts_with_proxy = name.get(..6).is_some_and(|start| is_alike("proxy-", start));
    starts_with_proxy || RESERVED.iter().any(|reserved| is_alike(reserved, name))
}

/// Compares two names. We treat underscores like hyphens, because many servers do so too.
fn is_alike(reserved: &str, name: &str) -> bool {
    let hyphenated = name.bytes().map(|byte| match byte {
        b'_' => b'-',
        other => other,
    });
    reserved.len() == name.len() && reserved.bytes().eq(hyphenated)
}
