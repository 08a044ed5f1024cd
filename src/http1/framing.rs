//! Response framing: how to find the end of the body (RFC 9112, 6.3).

use http::StatusCode;

use super::{Error, chunked::Chunked};
use crate::response::Headers;

/// How the body ends, and how far we've come.
#[derive(Debug)]
pub(super) enum Framing {
    /// This many bytes are still missing.
    Length(u64),
    Chunked(Chunked),
    /// The body ends when the connection does.
    UntilClose,
}

impl Framing {
    /// Determines the framing of a response. Set `is_head` if this is the response to a
    /// HEAD request.
    ///
    /// # Errors
    ///
    /// The headers are ambiguous, i.e. not every parser would read them the same way.
    pub(super) fn of(headers: &Headers, status: StatusCode, is_head: bool) -> Result<Self, Error> {
        let is_empty = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if is_head || is_empty {
            return Ok(Self::Length(0));
        }
        // Parse both headers in any case, so that we notice if either of them is wrong.
        let length = content_length(headers)?;
        if is_chunked(headers)? {
            return Ok(Self::Chunked(Chunked::new()));
        }
        Ok(length.map_or(Self::UntilClose, Self::Length))
    }

    pub(super) fn is_complete(&self) -> bool {
        match self {
            Self::Length(missing) => *missing == 0,
            Self::Chunked(chunked) => chunked.is_complete(),
            Self::UntilClose => false,
        }
    }

    /// Returns how many bytes can be read straight into the body.
    ///
    /// This is zero if the bytes must be decoded first, or if there are so few of them
    /// that a separate read isn't worth it.
    pub(super) fn direct_bytes(&self) -> u64 {
        /// Below this, don't read a chunk directly. Reading directly costs an extra read
        /// for the bytes in between chunks.
        const MIN_DIRECT: u64 = 16 << 10;

        match self {
            Self::Length(missing) => *missing,
            Self::Chunked(chunked) if chunked.missing() < MIN_DIRECT => 0,
            Self::Chunked(chunked) => chunked.missing(),
            Self::UntilClose => u64::MAX,
        }
    }

    /// Records that `count` bytes were read straight into the body.
    pub(super) fn advance(&mut self, count: u64) {
        match self {
            Self::Length(missing) => *missing -= count,
            Self::Chunked(chunked) => chunked.advance(count),
            Self::UntilClose => {}
        }
    }

    /// Decodes `input` and appends at most `room` bytes to `body`. Returns how many bytes
    /// of `input` were used.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, Error> {
        let missing = match self {
            Self::Chunked(chunked) => return chunked.decode(input, body, room),
            Self::Length(missing) => usize::try_from(*missing).unwrap_or(usize::MAX),
            Self::UntilClose => usize::MAX,
        };
        let count = missing.min(input.len()).min(room);
        body.extend_from_slice(&input[..count]);
        self.advance(count as u64);
        Ok(count)
    }

    /// Returns true if every parser would find the same end for this body. Only then do
    /// we know that the next response begins right after it.
    pub(super) fn is_unambiguous(
        &self,
        headers: &Headers,
        status: StatusCode,
        is_head: bool,
    ) -> bool {
        let has = |name| headers.get(name).is_some();
        match self {
            Self::UntilClose => false,
            // There's no body. The headers describe what a GET would've returned.
            _ if is_head || status == StatusCode::NOT_MODIFIED => true,
            Self::Chunked(_) => !has("content-length"),
            Self::Length(_) if status == StatusCode::NO_CONTENT => {
                !has("content-length") && !has("transfer-encoding")
            }
            Self::Length(_) => !has("transfer-encoding"),
        }
    }
}

/// Returns the Content-Length. It's fine if there are several lines or values, as long as
/// all of them are the same (RFC 9110, 8.6).
fn content_length(headers: &Headers) -> Result<Option<u64>, Error> {
    let mut length = None;
    for digits in list(headers, "content-length") {
        let value = parse_length(digits)?;
        if *length.get_or_insert(value) != value {
            return Err(Error::malformed(
                "the response has several different values of Content-Length",
            ));
        }
    }
    Ok(length)
}

fn parse_length(value: &[u8]) -> Result<u64, Error> {
    let invalid = || Error::malformed("the Content-Length is not a number of bytes");
    // `u64::from_str` would also accept a leading plus sign, so check for digits first.
    if !value.iter().all(u8::is_ascii_digit) {
        return Err(invalid());
    }
    let digits = std::str::from_utf8(value).map_err(|_| invalid())?;
    digits.parse().map_err(|_| invalid())
}

/// Returns true if the body is chunked. We ignore the coding `identity` as well as empty
/// headers.
fn is_chunked(headers: &Headers) -> Result<bool, Error> {
    let mut is_chunked = false;
    for coding in list(headers, "transfer-encoding") {
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        if coding.is_empty() || is("identity") {
            continue;
        }
        if is_chunked || !is("chunked") {
            return Err(Error::malformed(
                "the Transfer-Encoding is not supported: expected chunked",
            ));
        }
        is_chunked = true;
    }
    Ok(is_chunked)
}

/// Returns the elements of a comma-separated header (RFC 9110, 5.6.1).
pub(super) fn list<'a>(headers: &'a Headers, name: &str) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
}
