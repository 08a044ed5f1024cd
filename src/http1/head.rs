//! Parses response heads.
//!
//! We try to be as tolerant as other clients: folded lines, white space before the colon
//! and bare LFs are all accepted, because there's only one way to understand them. But if
//! two parsers might disagree about where the response ends, then we're strict and reject
//! it (RFC 9112, 11.2).

use std::mem::MaybeUninit;

use http::{StatusCode, Version};
use httparse::{ParserConfig, Status};

use super::{
    Error,
    framing::{Framing, list},
};
use crate::response::Headers;

#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
}

/// A response head along with the framing of the body.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(super) head: Head,
    pub(super) framing: Framing,
    /// Set if the connection can be used for another request.
    pub(super) keep_alive: bool,
}

/// The maximum size of a head in bytes. It's also the limit for all heads before a body
/// taken together, i.e. including those of interim responses. Anything larger is
/// rejected.
pub(super) const MAX_HEAD: usize = 64 << 10;

/// The maximum number of header lines. A head with more lines is rejected.
const MAX_LINES: usize = 100;

/// Parses the head at the start of `input`, and returns it together with its length.
/// Returns `None` if the head isn't complete yet. Set `is_head` if this is the response
/// to a HEAD request.
pub(super) fn parse(input: &[u8], is_head: bool) -> Result<Option<(Parsed, usize)>, Error> {
    let mut lines = [const { MaybeUninit::uninit() }; MAX_LINES];
    let mut response = httparse::Response::new(&mut []);
    let mut config = ParserConfig::default();
    config
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true);
    let parsed = config.parse_response_with_uninit_headers(&mut response, input, &mut lines);
    let length = match parsed {
        Ok(Status::Complete(length)) if length <= MAX_HEAD => length,
        Ok(Status::Partial) if input.len() < MAX_HEAD => return Ok(None),
        Ok(_) => return Err(too_large()),
        Err(error) => return Err(from_httparse(error, input)),
    };
    let code = response.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| status_line())?;
    let version = if response.version == Some(0) {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    let headers = copy_headers(response.headers);
    let framing = Framing::of(&headers, status, is_head)?;
    let keep_alive = asks_for_keep_alive(&headers, version)
        && framing.is_unambiguous(&headers, status, is_head)
        // HTTP/1.0 doesn't have chunked bodies.
        && (version == Version::HTTP_11 || !matches!(framing, Framing::Chunked(_)));
    let head = Head {
        status,
        version,
        headers,
    };
    let parsed = Parsed {
        head,
        framing,
        keep_alive,
    };
    Ok(Some((parsed, length)))
}

/// Returns the error for a connection that ended after `input`. If there's already
/// something wrong with the incomplete head, then that's the error.
pub(super) fn unexpected_end(input: &[u8]) -> Error {
    match parse(input, false) {
        Err(error) => error,
        Ok(_) if input.is_empty() => Error::Closed("without a response"),
        Ok(_) => Error::Closed("within the response head"),
    }
}

pub(super) fn too_large() -> Error {
    Error::malformed(format!("the response head has more than {MAX_HEAD} bytes"))
}

fn copy_headers(lines: &[httparse::Header<'_>]) -> Headers {
    let bytes = lines
        .iter()
        .map(|line| line.name.len() + line.value.len())
        .sum();
    let mut headers = Headers::with_capacity(lines.len(), bytes);
    for line in lines {
        if line.value.contains(&b'\n') {
            headers.push(line.name, unfold(line.value));
        } else {
            headers.push(line.name, line.value.iter().copied());
        }
    }
    headers
}

/// Unfolds a header value: each fold, along with any white space around it, becomes a
/// single space (RFC 9112, 5.2).
fn unfold(value: &[u8]) -> impl Iterator<Item = u8> + '_ {
    value
        .split(|byte| *byte == b'\n')
        .enumerate()
        .flat_map(|(position, line)| {
            let space = (position > 0).then_some(b' ');
            space.into_iter().chain(line.trim_ascii().iter().copied())
        })
}

/// Returns true if the origin will keep the connection open (RFC 9112, 9.3).
fn asks_for_keep_alive(headers: &Headers, version: Version) -> bool {
    let has = |option: &str| {
        list(headers, "connection").any(|other| other.eq_ignore_ascii_case(option.as_bytes()))
    };
    !has("close") && (version == Version::HTTP_11 || has("keep-alive"))
}

fn from_httparse(error: httparse::Error, input: &[u8]) -> Error {
    use httparse::Error::{
        HeaderName, HeaderValue, NewLine, Status, Token, TooManyHeaders, Version,
    };

    match error {
        Version | Status => status_line(),
        TooManyHeaders => Error::malformed(format!(
            "the response head has more than {MAX_LINES} header lines"
        )),
        Token | HeaderName | HeaderValue | NewLine => header_line(input),
    }
}

fn status_line() -> Error {
    Error::malformed("the status line is malformed: expected one such as 'HTTP/1.1 200 OK'")
}

/// Finds the header line that we can't parse, and describes what's wrong with it. The
/// line itself isn't part of the message, since it may contain secrets.
fn header_line(input: &[u8]) -> Error {
    let head = input.trim_ascii_start();
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for (number, line) in (1..).zip(lines) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.is_empty() {
            break;
        }
        if let Some(problem) = line_problem(line, number == 1) {
            return Error::malformed(format!("header line {number} {problem}"));
        }
    }
    Error::malformed("a header line is malformed")
}

fn line_problem(line: &[u8], is_first: bool) -> Option<&'static str> {
    const CONTROL_CHARACTER: &str = "has a control character in its value";

    let is_fold = matches!(line.first(), Some(b' ' | b'\t'));
    if is_fold && is_first {
        return Some("continues a line, but there is none before it");
    }
    if is_fold {
        return (!is_value(line)).then_some(CONTROL_CHARACTER);
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return Some("has no colon");
    };
    if !is_token(line[..colon].trim_ascii_end()) {
        return Some("has an invalid character in its name");
    }
    (!is_value(&line[colon + 1..])).then_some(CONTROL_CHARACTER)
}

fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && http::HeaderName::from_bytes(name).is_ok()
}
