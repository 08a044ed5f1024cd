//! A raw response along with the expected result.

use std::fmt;

use fetchd::proto::{HttpVersion, Reason};

/// A raw response, how the connection ends after it, and the result that we expect from
/// the fetch.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) method: &'static str,
    pub(crate) answer: Vec<u8>,
    pub(crate) ending: Ending,
    pub(crate) expected: Expected,
}

/// What the origin does after it has written the answer.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    /// Close the connection with a FIN.
    Fin,
    /// Reset the connection with an RST.
    Rst,
    /// Leave the connection open, and serve more requests on it.
    Keep,
    /// Write these bytes again and again, forever.
    Endless(&'static [u8]),
}

/// The expected result of a fetch.
pub(crate) struct Expected {
    /// The status. If this is `None`, there must not be a head.
    pub(crate) status: Option<u16>,
    pub(crate) version: Option<HttpVersion>,
    /// Header lines that the head must have. There must not be any others with the same
    /// names.
    pub(crate) lines: Vec<(&'static str, Vec<u8>)>,
    /// Names of header lines that the head must not have.
    pub(crate) absent: Vec<&'static str>,
    pub(crate) line_count: Option<usize>,
    /// The body. If this is `None`, we don't care.
    pub(crate) body: Option<Vec<u8>>,
    /// The error's reason, and some text that its message must contain.
    pub(crate) error: Option<(Reason, &'static str)>,
}

/// Most cases start with this status line.
pub(crate) const OK: &[u8] = b"HTTP/1.1 200 OK\r\n";
/// Ends the head and adds the body "hi".
pub(crate) const HI: &[u8] = b"content-length: 2\r\n\r\nhi";
/// A head with a chunked body still to come.
pub(crate) const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
/// A second response that nobody asked for.
pub(crate) const SURPLUS: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nsurplus";

pub(crate) fn cat(pieces: &[&[u8]]) -> Vec<u8> {
    pieces.concat()
}

/// A response that's fine, and results in a 200 with `body`.
pub(crate) fn ok(name: impl Into<String>, answer: Vec<u8>, body: impl Into<Vec<u8>>) -> Case {
    Case::new(name, answer).expecting(Some(200), Some(body.into()), None)
}

/// A response whose head must be rejected as invalid.
pub(crate) fn protocol(name: impl Into<String>, answer: Vec<u8>, fragment: &'static str) -> Case {
    Case::new(name, answer).expecting(None, None, Some((Reason::Protocol, fragment)))
}

/// A response that's cut off somewhere in its head.
pub(crate) fn disconnected(name: impl Into<String>, answer: Vec<u8>) -> Case {
    Case::new(name, answer).expecting(None, None, Some((Reason::Disconnected, "")))
}

impl Case {
    fn new(name: impl Into<String>, answer: Vec<u8>) -> Self {
        Self {
            name: name.into(),
            method: "GET",
            answer,
            ending: Ending::Fin,
            expected: Expected {
                status: None,
                version: None,
                lines: Vec::new(),
                absent: Vec::new(),
                line_count: None,
                body: None,
                error: None,
            },
        }
    }

    fn expecting(
        mut self,
        status: Option<u16>,
        body: Option<Vec<u8>>,
        error: Option<(Reason, &'static str)>,
    ) -> Self {
        self.expected.status = status;
        self.expected.body = body;
        self.expected.error = error;
        self
    }

    /// Use this method for the request.
    pub(crate) fn method(mut self, method: &'static str) -> Self {
        self.method = method;
        self
    }

    /// Let the origin keep the connection open.
    pub(crate) fn kept(mut self) -> Self {
        self.ending = Ending::Keep;
        self
    }

    /// Let the origin reset the connection.
    pub(crate) fn reset(mut self) -> Self {
        self.ending = Ending::Rst;
        self
    }

    /// Let the origin write `again` over and over.
    pub(crate) fn endless(mut self, again: &'static [u8]) -> Self {
        self.ending = Ending::Endless(again);
        self
    }

    /// Expect a head with this status.
    pub(crate) fn status(mut self, status: u16) -> Self {
        self.expected.status = Some(status);
        self
    }

    /// Expect that the error comes after a head with status 200 and these bytes of the
    /// body.
    pub(crate) fn after(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.expected.status = Some(200);
        self.expected.body = Some(body.into());
        self
    }

    /// Expect this header line. If there are several lines with the same name, call this
    /// in the order in which they must appear.
    pub(crate) fn line(mut self, name: &'static str, value: impl Into<Vec<u8>>) -> Self {
        self.expected.lines.push((name, value.into()));
        self
    }

    /// Expect that there's no header line with this name.
    pub(crate) fn lacks(mut self, name: &'static str) -> Self {
        self.expected.absent.push(name);
        self
    }

    /// Expect this many header lines.
    pub(crate) fn line_count(mut self, count: usize) -> Self {
        self.expected.line_count = Some(count);
        self
    }

    /// Expect this HTTP version.
    pub(crate) fn version(mut self, version: HttpVersion) -> Self {
        self.expected.version = Some(version);
        self
    }

    /// Expect an error, because the body doesn't match its Content-Encoding.
    pub(crate) fn undecodable(mut self) -> Self {
        self.expected.body = None;
        self.expected.error = Some((Reason::Decode, "Content-Encoding"));
        self
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some((reason, fragment)) = self.error {
            write!(f, "{reason:?}")?;
            if !fragment.is_empty() {
                write!(f, " with \"{fragment}\"")?;
            }
            if self.status.is_none() {
                return f.write_str(" and no head");
            }
            f.write_str(" after ")?;
        }
        write!(f, "{}", self.status.unwrap_or_default())?;
        if let Some(version) = self.version {
            write!(f, " {version:?}")?;
        }
        for (name, value) in &self.lines {
            write!(f, ", {name}: \"{}\"", value.escape_ascii())?;
        }
        for name in &self.absent {
            write!(f, ", no {name}")?;
        }
        if let Some(count) = self.line_count {
            write!(f, ", {count} header lines")?;
        }
        match &self.body {
            Some(body) => write!(f, ", body {}", printable(body)),
            None => Ok(()),
        }
    }
}

/// Escapes `bytes` so that they can be printed. Long values are cut off, and their length
/// is appended.
pub(crate) fn printable(bytes: &[u8]) -> String {
    const MAX_PRINTED: usize = 60;
    if bytes.len() <= MAX_PRINTED {
        return format!("\"{}\"", bytes.escape_ascii());
    }
    let beginning = bytes[..MAX_PRINTED].escape_ascii();
    format!("\"{beginning}…\" ({} bytes)", bytes.len())
}
