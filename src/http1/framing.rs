//! Where the body of a response ends (RFC 9112, 6.3).

use http::StatusCode;

use super::{Error, chunked::Chunked};
use crate::response::Headers;

/// How the end of a body is told.
#[derive(Debug)]
pub(super) enum Framing {
    /// So many bytes are missing.
    Length(u64),
    Chunked(Chunked),
    /// The body ends with the connection.
    UntilClose,
}

impl Framing {
    /// How the body of a response with `status` and `headers` ends, which answers
    /// a HEAD request if `is_head`.
    ///
    /// # Errors
    ///
    /// Headers that are read differently by different parsers.
    pub(super) fn of(headers: &Headers, status: StatusCode, is_head: bool) -> Result<Self, Error> {
        let is_empty = status.is_informational()
            || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if is_head || is_empty {
            return Ok(Self::Length(0));
        }
        // Both are read, so that what is wrong with either is an error.
        let length = content_length(headers)?;
        if is_chunked(headers)? {
            return Ok(Self::Chunked(Chunked::new()));
        }
        Ok(length.map_or(Self::UntilClose, Self::Length))
    }

    /// Returns true if nothing is missing.
    pub(super) fn is_over(&self) -> bool {
        match self {
            Self::Length(missing) => *missing == 0,
            Self::Chunked(chunked) => chunked.is_over(),
            Self::UntilClose => false,
        }
    }

    /// How many bytes may be read straight into the body: none if they have to
    /// be decoded, or are too few to be worth a read of their own.
    pub(super) fn direct(&self) -> u64 {
        /// A read into the body costs one more for the bytes between chunks.
        const WORTHWHILE: u64 = 16 << 10;

        match self {
            Self::Length(missing) => *missing,
            Self::Chunked(chunked) if chunked.missing() < WORTHWHILE => 0,
            Self::Chunked(chunked) => chunked.missing(),
            Self::UntilClose => u64::MAX,
        }
    }

    /// Notes that `count` bytes were read straight into the body.
    pub(super) fn skip(&mut self, count: u64) {
        match self {
            Self::Length(missing) => *missing -= count,
            Self::Chunked(chunked) => chunked.skip(count),
            Self::UntilClose => {}
        }
    }

    /// Takes from `input` what belongs to the body, at most `room` bytes of it,
    /// and returns how much of `input` was used.
    pub(super) fn take(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        room: usize,
    ) -> Result<usize, Error> {
        let count = match self {
            Self::Chunked(chunked) => return chunked.decode(input, body, room),
            Self::Length(missing) => usize::try_from(*missing).unwrap_or(usize::MAX),
            Self::UntilClose => usize::MAX,
        };
        let count = count.min(input.len()).min(room);
        body.extend_from_slice(&input[..count]);
        self.skip(count as u64);
        Ok(count)
    }

    /// Returns true if no other parser can have read the end of this body, of a
    /// response with `status` and `headers`, differently: what follows it is the
    /// next response.
    pub(super) fn is_unambiguous(
        &self,
        headers: &Headers,
        status: StatusCode,
        is_head: bool,
    ) -> bool {
        let has = |name| headers.get(name).is_some();
        match self {
            Self::UntilClose => false,
            // What a GET would get.
            _ if is_head || status == StatusCode::NOT_MODIFIED => true,
            Self::Chunked(_) => !has("content-length"),
            Self::Length(_) if status == StatusCode::NO_CONTENT => {
                !has("content-length") && !has("transfer-encoding")
            }
            Self::Length(_) => !has("transfer-encoding"),
        }
    }
}

/// The length that `headers` name. More than one line, or value, is accepted if
/// all are the same (RFC 9110, 8.6).
fn content_length(headers: &Headers) -> Result<Option<u64>, Error> {
    let lines = headers.get_all("content-length");
    let mut values = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let first = length(first)?;
    for value in values {
        if length(value)? != first {
            return Err(Error::malformed("the response has two Content-Lengths"));
        }
    }
    Ok(Some(first))
}

fn length(value: &[u8]) -> Result<u64, Error> {
    let digits = std::str::from_utf8(value.trim_ascii()).ok();
    let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let length = digits.and_then(|digits| digits.parse().ok());
    length.ok_or_else(|| Error::malformed("the Content-Length is not a number of bytes"))
}

/// Whether the body is chunked. `identity`, and a header that names nothing,
/// say no more than no header.
fn is_chunked(headers: &Headers) -> Result<bool, Error> {
    let lines = headers.get_all("transfer-encoding");
    let codings = lines.flat_map(|line| line.split(|byte| *byte == b','));
    let mut is_chunked = false;
    for coding in codings.map(<[u8]>::trim_ascii) {
        let is = |name: &str| coding.eq_ignore_ascii_case(name.as_bytes());
        if coding.is_empty() || is("identity") {
            continue;
        }
        if is_chunked || !is("chunked") {
            return Err(Error::malformed(
                "the body has a Transfer-Encoding other than chunked",
            ));
        }
        is_chunked = true;
    }
    Ok(is_chunked)
}
