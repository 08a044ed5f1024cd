//! The head of a response: parsed, and read for how its body ends.
//!
//! As tolerant as the usual clients where a message can be read in one way
//! only: folded lines, white space before a colon, bare LF. Strict where two
//! parsers could disagree about where the response ends (RFC 9112, 11.2).

use std::mem::MaybeUninit;

use http::{StatusCode, Version};
use httparse::{ParserConfig, Status};

use super::{Error, framing::Framing};
use crate::response::Headers;

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: Headers,
}

/// A head, and how its response goes on.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(super) head: Head,
    pub(super) framing: Framing,
    /// The origin keeps the connection open for another request.
    pub(super) keeps_open: bool,
}

/// The largest head, and the most bytes of heads before the body, in bytes.
pub(super) const MAX_HEAD: usize = 64 << 10;

/// The most header lines.
const MAX_LINES: usize = 100;

/// Parses the head at the start of `input`, of a response to a HEAD request if
/// `is_head`, and returns it with its length. `None`: there is more of it to
/// come.
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
        Err(error) => return Err(fault(error, input)),
    };
    let code = response.code.unwrap_or_default();
    let status = StatusCode::from_u16(code).map_err(|_| status_line())?;
    let version = if response.version == Some(0) {
        Version::HTTP_10
    } else {
        Version::HTTP_11
    };
    let text = response.headers.iter();
    let text = text.map(|line| line.name.len() + line.value.len()).sum();
    let mut headers = Headers::with_capacity(response.headers.len(), text);
    for line in response.headers.iter() {
        if line.value.contains(&b'\n') {
            headers.push(line.name, unfolded(line.value));
        } else {
            headers.push(line.name, line.value.iter().copied());
        }
    }
    let framing = Framing::of(&headers, status, is_head)?;
    let keeps_open = asks_to_keep_open(&headers, version)
        && framing.is_unambiguous(&headers, status, is_head)
        // A chunked body is none of HTTP/1.0.
        && (version == Version::HTTP_11 || !matches!(framing, Framing::Chunked(_)));
    let head = Head {
        status,
        version,
        headers,
    };
    let parsed = Parsed {
        head,
        framing,
        keeps_open,
    };
    Ok(Some((parsed, length)))
}

/// What a head that came only in part is known to be wrong with, if anything.
pub(super) fn cut_short(input: &[u8]) -> Error {
    match parse(input, false) {
        Err(error) => error,
        Ok(_) if input.is_empty() => Error::Closed("without a response"),
        Ok(_) => Error::Closed("within the response head"),
    }
}

pub(super) fn too_large() -> Error {
    Error::malformed(format!("the response head has more than {MAX_HEAD} bytes"))
}

/// Each fold, with the white space around it, becomes one space (RFC 9112, 5.2).
fn unfolded(value: &[u8]) -> impl Iterator<Item = u8> + '_ {
    let lines = value.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines = lines.enumerate();
    lines.flat_map(|(position, line)| {
        let space = (position > 0).then_some(b' ');
        space.into_iter().chain(line.iter().copied())
    })
}

/// Whether the origin keeps the connection open (RFC 9112, 9.3).
fn asks_to_keep_open(headers: &Headers, version: Version) -> bool {
    let has = |option: &str| {
        let mut options = headers
            .get_all("connection")
            .flat_map(|value| value.split(|byte| *byte == b','));
        options.any(|other| other.trim_ascii().eq_ignore_ascii_case(option.as_bytes()))
    };
    !has("close") && (version == Version::HTTP_11 || has("keep-alive"))
}

fn fault(error: httparse::Error, input: &[u8]) -> Error {
    use httparse::Error as Fault;

    match error {
        Fault::Version | Fault::Status => status_line(),
        Fault::TooManyHeaders => Error::malformed(format!(
            "the response head has more than {MAX_LINES} header lines"
        )),
        Fault::Token | Fault::HeaderName | Fault::HeaderValue | Fault::NewLine => {
            header_line(input)
        }
    }
}

fn status_line() -> Error {
    Error::malformed("the status line is not one of HTTP/1.1, such as 'HTTP/1.1 200 OK'")
}

/// Finds the header line that cannot be parsed. Nothing of it is shown: it may
/// hold secrets.
fn header_line(input: &[u8]) -> Error {
    let head = input.trim_ascii_start();
    let lines = head.split(|byte| *byte == b'\n').skip(1);
    for (line, number) in lines.zip(1..) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_fold = line
            .first()
            .is_some_and(|byte| matches!(byte, b' ' | b'\t'));
        let colon = line.iter().position(|byte| *byte == b':');
        let name = colon.map_or(line, |colon| &line[..colon]).trim_ascii_end();
        let value = colon.map_or(&[][..], |colon| &line[colon + 1..]);
        let problem = if line.is_empty() {
            break;
        } else if is_fold && number == 1 {
            "continues a line, and there is none before it"
        } else if is_fold || (colon.is_some() && is_token(name) && !is_value(value)) {
            if is_value(line) {
                continue;
            }
            "has a control character in its value"
        } else if colon.is_none() {
            "has no colon"
        } else if !is_token(name) {
            "has a name with characters that no name may have"
        } else {
            continue;
        };
        return Error::malformed(format!("header line {number} {problem}"));
    }
    Error::malformed("a header line is not valid")
}

fn is_value(value: &[u8]) -> bool {
    value
        .iter()
        .all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f))
}

fn is_token(name: &[u8]) -> bool {
    !name.is_empty() && http::HeaderName::from_bytes(name).is_ok()
}
