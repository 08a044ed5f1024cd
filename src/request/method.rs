//! Request methods.

use http::Method;

use super::{InvalidRequest, Request, invalid::excerpt};

/// Parses a method. If it's empty, this returns GET.
pub(super) fn parse(method: &str) -> Result<Method, InvalidRequest> {
    let invalid = |problem| Err(InvalidRequest::new("method", problem));
    if method.is_empty() {
        return Ok(Method::GET);
    }
    if method.len() > Request::MAX_METHOD {
        return invalid(format!(
            "expected at most {} bytes, got {}",
            Request::MAX_METHOD,
            method.len()
        ));
    }
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return invalid(format!(
            "expected an upper-case method, got '{}'",
            excerpt(method)
        ));
    }
    match Method::from_bytes(method.as_bytes()) {
        Ok(Method::CONNECT) => {
            invalid("expected any upper-case method except CONNECT, got 'CONNECT'".to_owned())
        }
        Ok(method) => Ok(method),
        Err(_) => invalid(format!(
            "expected an HTTP method, got '{}'",
            excerpt(method)
        )),
    }
}
