//! What is to be fetched: a batch, its requests, and how to fetch each.
//!
//! The constructors check every invariant, so that what reaches the engine can
//! be sent. A value over a ceiling is lowered to it; a value that makes no
//! sense is refused by name.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use tokio::time::Instant;
use url::Url;

use crate::{caller::Caller, config::Ceilings, credentials::take_authorization};

/// A list of requests, each of which comes to its own end.
pub(crate) struct Batch {
    /// In the caller's order.
    pub requests: Box<dyn Requests>,
    /// Who made the call.
    pub caller: Caller,
    /// How many may be in flight at once; at least 1.
    pub concurrency: usize,
    /// When the caller's headers arrived: every wait is counted from here.
    pub arrival: Instant,
    /// When every unfinished request ends. `None`: never.
    pub deadline: Option<Instant>,
}

/// The requests of a batch, in a form that takes little memory while they wait.
pub(crate) trait Requests: Send + Sync {
    /// How many there are.
    fn count(&self) -> u32;

    /// The indices of those that cannot be sent, in order.
    fn refused(&self) -> &[u32];

    /// The request at `index`, or the error that it ends with if it cannot be
    /// sent.
    fn get(&self, index: u32) -> Result<Request, InvalidRequest>;
}

/// One HTTP request that can be sent.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// An absolute `http` or `https` URL, without user info and fragment, as
    /// it is sent.
    pub uri: Uri,
    /// Any upper-case method but CONNECT.
    pub method: Method,
    /// What the caller sets, and the authorization its URL held.
    pub headers: HeaderMap,
    /// Of the lines that were added.
    header_bytes: usize,
    /// Empty: none.
    pub body: Bytes,
    /// How to fetch it.
    pub options: Options,
}

/// How to fetch a request. The default is the contract's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// From the dispatch to the last byte, retries included. Default: 30 s.
    pub timeout: Duration,
    /// The longest silence of an origin. Default: 15 s.
    pub idle_timeout: Duration,
    /// DNS, TCP and TLS together. Default: 5 s.
    pub connect_timeout: Duration,
    /// Redirects to follow; 0: a redirect is the response. Default: 10.
    pub max_redirects: u32,
    /// The largest body, in bytes. Default: 10 MiB.
    pub max_body_bytes: u64,
    /// What becomes of a larger one. Default: the request fails.
    pub body_overflow: Overflow,
    /// Tries, the first included. Default: 3.
    pub max_attempts: u32,
}

/// What to do with a body over its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The request ends with `REASON_BODY_TOO_LARGE`.
    Fail,
    /// The body is cut, and the end says so.
    Truncate,
}

/// Why a request cannot be sent: which field, and what is accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub(crate) struct InvalidRequest {
    /// The field of the request, as the contract names it.
    pub field: &'static str,
    /// What is wrong with it, and what is accepted.
    pub problem: String,
}

/// Headers that the service or the connection answers for.
const REFUSED_HEADERS: [&str; 10] = [
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

impl Request {
    /// The longest method, in bytes: more than any that is registered.
    pub(crate) const MAX_METHOD: usize = 64;
    /// The longest URL, in bytes.
    pub(crate) const MAX_URL: usize = 16 << 10;
    /// The most header lines: more than any origin is known to accept.
    pub(crate) const MAX_HEADERS: usize = 1000;
    /// The most bytes of names and values of header lines, likewise.
    pub(crate) const MAX_HEADER_BYTES: usize = 64 << 10;

    /// A request for `url` with the default options. An empty `method` is GET.
    pub(crate) fn new(url: &str, method: &str) -> Result<Self, InvalidRequest> {
        let method = parse_method(method)?;
        let mut url = parse_url(url)?;
        let mut headers = HeaderMap::new();
        if let Some(authorization) = take_authorization(&mut url) {
            headers.insert(header::AUTHORIZATION, authorization);
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

    /// Adds a header line. An `Authorization` replaces the one of the URL.
    pub(crate) fn add_header(&mut self, name: &str, value: Bytes) -> Result<(), InvalidRequest> {
        // Of a whole line given as a name, the value is not shown.
        let shown = || shown(name.split([':', ' ']).next().unwrap_or_default());
        let invalid = |problem| InvalidRequest::new("headers", problem);
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| {
            invalid(format!(
                "'{}' is not a header name; letters, digits and !#$%&'*+-.^_`|~ are accepted",
                shown()
            ))
        })?;
        if is_refused(&name) {
            return Err(invalid(format!("'{name}' is set by the service alone")));
        }
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| {
            invalid(format!(
                "the value of '{name}' holds a control character; bytes from 0x20 and tabs are accepted"
            ))
        })?;
        let of_url = self.headers.get(header::AUTHORIZATION);
        if name == header::AUTHORIZATION && of_url.is_some_and(HeaderValue::is_sensitive) {
            self.headers.remove(header::AUTHORIZATION);
        }
        if self.headers.len() >= Self::MAX_HEADERS {
            let most = Self::MAX_HEADERS;
            return Err(invalid(format!("at most {most} lines are accepted")));
        }
        self.header_bytes += name.as_str().len() + value.len();
        if self.header_bytes > Self::MAX_HEADER_BYTES {
            let most = Self::MAX_HEADER_BYTES;
            return Err(invalid(format!(
                "at most {most} bytes of names and values are accepted"
            )));
        }
        self.headers.append(name, value);
        Ok(())
    }

    /// Whether sending the request twice is the same as once (RFC 9110, 9.2.2).
    pub(crate) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }
}

impl Options {
    /// The most redirects that are followed.
    pub(crate) const MAX_REDIRECTS: u32 = 20;
    /// The most attempts that are made.
    pub(crate) const MAX_ATTEMPTS: u32 = 10;

    /// The options with each value lowered to its ceiling.
    #[must_use]
    pub(crate) fn lowered_to(self, ceilings: &Ceilings) -> Self {
        Self {
            timeout: self.timeout.min(ceilings.max_timeout),
            // What is longer than the whole request may be silent for ever.
            idle_timeout: self.idle_timeout.min(ceilings.max_timeout),
            connect_timeout: self.connect_timeout.min(ceilings.max_timeout),
            max_redirects: self.max_redirects.min(Self::MAX_REDIRECTS),
            max_body_bytes: self.max_body_bytes.min(ceilings.max_body_bytes),
            body_overflow: self.body_overflow,
            max_attempts: self.max_attempts.min(Self::MAX_ATTEMPTS),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            max_redirects: 10,
            max_body_bytes: 10 << 20,
            body_overflow: Overflow::Fail,
            max_attempts: 3,
        }
    }
}

impl InvalidRequest {
    /// A problem with `field`.
    pub(crate) fn new(field: &'static str, problem: impl Into<String>) -> Self {
        Self {
            field,
            problem: problem.into(),
        }
    }
}

/// Returns true if the service sets `name` itself. Many servers read an underscore
/// as a hyphen.
fn is_refused(name: &HeaderName) -> bool {
    let is = |refused: &str, name: &str| {
        let both = refused.bytes().zip(name.bytes());
        let mut both =
            both.map(|(refused, byte)| (refused, if byte == b'_' { b'-' } else { byte }));
        refused.len() == name.len() && both.all(|(refused, byte)| refused == byte)
    };
    let name = name.as_str();
    let is_of_proxies = name.get(..6).is_some_and(|start| is("proxy-", start));
    is_of_proxies || REFUSED_HEADERS.iter().any(|refused| is(refused, name))
}

fn parse_method(method: &str) -> Result<Method, InvalidRequest> {
    let invalid = |problem| Err(InvalidRequest::new("method", problem));
    let shown = || shown(method);
    if method.is_empty() {
        return Ok(Method::GET);
    }
    if method.len() > Request::MAX_METHOD {
        return invalid(format!(
            "has {} bytes; at most {} are accepted",
            method.len(),
            Request::MAX_METHOD
        ));
    }
    if method.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return invalid(format!(
            "'{}' has lower-case letters; methods are upper case",
            shown()
        ));
    }
    match Method::from_bytes(method.as_bytes()) {
        Ok(Method::CONNECT) => {
            invalid("CONNECT is refused; any other upper-case method is accepted".to_owned())
        }
        Ok(method) => Ok(method),
        Err(_) => invalid(format!("'{}' is not an HTTP method", shown())),
    }
}

/// The beginning of what a caller wrote, fit to be read in a message.
fn shown(text: &str) -> String {
    const LONGEST: usize = 64;

    let beginning = text.chars().take(LONGEST);
    let mut shown: String = beginning.flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

fn parse_url(url: &str) -> Result<Url, InvalidRequest> {
    const ACCEPTED: &str = "an absolute http or https URL is accepted";

    let invalid = |problem: String| Err(InvalidRequest::new("url", problem));
    if url.is_empty() {
        return invalid(format!("is empty; {ACCEPTED}"));
    }
    if url.len() > Request::MAX_URL {
        return invalid(format!(
            "has {} bytes; at most {} are accepted",
            url.len(),
            Request::MAX_URL
        ));
    }
    // As browsers do, the parser would take the path for the host.
    let is_scheme = |text: &str| {
        let mut bytes = text.trim_start().bytes();
        bytes.all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let names_host = url
        .split_once("://")
        .is_some_and(|(scheme, rest)| is_scheme(scheme) && !rest.starts_with(['/', '\\']));
    if !names_host {
        return invalid(format!("names no host; {ACCEPTED}"));
    }
    // The parser's message never holds the URL, which may hold secrets.
    let parsed = match Url::parse(url) {
        Ok(parsed) => parsed,
        Err(error) => return invalid(format!("is not valid ({error}); {ACCEPTED}")),
    };
    if !matches!(parsed.scheme(), "http" | "https") {
        return invalid(format!(
            "has the scheme '{}'; {ACCEPTED}",
            shown(parsed.scheme())
        ));
    }
    Ok(parsed)
}

/// The URL as it is sent: without its fragment.
pub(crate) fn to_uri(mut url: Url) -> Result<Uri, String> {
    /// Of a name in DNS, as text (RFC 1035, 3.1).
    const MAX_HOST: usize = 253;

    let host = url.host_str().unwrap_or_default();
    let name = host.strip_suffix('.').unwrap_or(host);
    if name.len() > MAX_HOST || name.split('.').any(str::is_empty) {
        return Err(format!(
            "has a host that is no name: 1 to {MAX_HOST} bytes, and no empty label, are accepted"
        ));
    }
    url.set_fragment(None);
    // Longer than what was given, where it had to be percent-encoded.
    if url.as_str().len() > Request::MAX_URL {
        return Err(format!(
            "has {} bytes when encoded; at most {} are accepted",
            url.as_str().len(),
            Request::MAX_URL
        ));
    }
    let uri = Uri::try_from(String::from(url));
    uri.map_err(|error| format!("cannot be sent ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, method: &str) -> InvalidRequest {
        Request::new(url, method).expect_err("the request is refused")
    }

    #[test]
    fn a_url_must_be_absolute_and_http() {
        for url in [
            "",
            "/path",
            "example.com/",
            "ftp://example.com/",
            "http://",
            "https:///",
            "http:///path",
            "http:path",
            "http:\\\\host/",
            "http://\\host/",
            "data:,x",
            "http://./",
            "http://../",
            "http://a..b/",
            "http://.a/",
            "http://127.0.0.1../",
            "http://2130706433../",
            "http://0x7f.1../",
            "http://localhost../",
        ] {
            // `https:///` is read as by browsers: the third slash is skipped,
            // and no host is left.
            assert_eq!(refused(url, "").field, "url", "{url}");
        }
        let long = format!("http://example.com/{}", "x".repeat(Request::MAX_URL));
        assert_eq!(refused(&long, "").field, "url");
        let long = format!("http://{}example.com/", "x.".repeat(124));
        assert_eq!(refused(&long, "").field, "url");
        assert!(Request::new("http://example.com./", "").is_ok());
        // 6,000 characters, 36,000 bytes when encoded.
        let growing = format!("http://example.com/{}", "é".repeat(6000));
        assert_eq!(refused(&growing, "").field, "url");
    }

    #[test]
    fn user_info_becomes_authorization_and_leaves_the_url() {
        let request = Request::new("http://us%20er:p%40ss@example.com/a#frag", "").unwrap();
        assert_eq!(request.uri, "http://example.com/a");
        assert_eq!(request.headers["authorization"], "Basic dXMgZXI6cEBzcw==");
    }

    #[test]
    fn methods_are_upper_case_tokens() {
        for method in ["get", "Get", "CONNECT", "A B", "GET\r\n", "É"] {
            assert_eq!(refused("http://a/", method).field, "method", "{method}");
        }
        assert_eq!(Request::new("http://a/", "").unwrap().method, Method::GET);
        assert_eq!(Request::new("http://a/", "PURGE").unwrap().method, "PURGE");
    }

    #[test]
    fn headers_of_the_connection_are_refused() {
        let mut request = Request::new("http://a/", "").unwrap();
        for name in [
            "Host",
            "content-length",
            "TE",
            "Proxy-Authorization",
            "Transfer_Encoding",
            "content_length",
            "HTTP2-Settings",
            "proxy_authorization",
            "bad name",
            "",
        ] {
            let error = request.add_header(name, Bytes::from_static(b"x"));
            assert_eq!(error.unwrap_err().field, "headers", "{name}");
        }
        let split = request.add_header("x", Bytes::from_static(b"a\r\nb: c"));
        assert!(split.is_err());
        request
            .add_header("x", Bytes::from_static(b"\xff"))
            .unwrap();
        request.add_header("X", Bytes::from_static(b"2")).unwrap();
        assert_eq!(request.headers.get_all("x").iter().count(), 2);
    }
}
