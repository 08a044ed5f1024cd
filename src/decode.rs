//! Content codings (RFC 9110, 8.4.1).
//!
//! A [`Decoder`] decodes gzip and deflate as the body arrives. It never produces more
//! than the caller has room for. At most two codings can be stacked on top of each other.
//!
//! We don't support brotli and zstd, and don't ask for them either: their windows take
//! many megabytes per body.

mod deflate;
#[cfg(any(test, feature = "internals"))]
#[allow(missing_docs, unreachable_pub, clippy::missing_panics_doc)]
pub mod property;

use std::io::{self, BufReader, ErrorKind, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;

use crate::response::Headers;
use deflate::DeflateReader;

/// The codings we ask for, as the value of an `accept-encoding` header.
pub(crate) const ACCEPT_ENCODING: &[u8] = b"gzip, deflate";

/// Decodes a single body.
///
/// To use it, call [`Decoder::read`], and whenever it needs more input, pass some to
/// [`Decoder::feed`].
pub(crate) struct Decoder {
    layer: Layer,
    /// Set once any bytes were fed.
    is_fed: bool,
}

/// The error for a body with more than [`MAX_CODINGS`] codings.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_CODINGS} content codings")]
pub(crate) struct TooManyCodings;

/// The result of a read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// This many bytes were decoded.
    Bytes(usize),
    /// There's nothing to decode until more bytes are fed.
    NeedsInput,
    /// We've been decoding for a while, but there's no output yet. The caller should
    /// yield to other tasks and then read again.
    OutOfBudget,
    /// The body has ended.
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// Either the encoded body itself, or a decoder on top of another layer.
enum Layer {
    Source(Source),
    // There may be several members in one body (RFC 1952, 2.2).
    Gzip(Box<MultiGzDecoder<BufReader<Layer>>>),
    Deflate(Box<DeflateReader<BufReader<Layer>>>),
}

/// Bytes that were fed but aren't decoded yet.
struct Source {
    bytes: Bytes,
    /// Set once we know that there won't be any more bytes.
    is_complete: bool,
    /// How many bytes may still be decoded in the current read, counting all layers.
    budget: usize,
}

/// The maximum number of bytes decoded in one read, counting all layers. This takes well
/// below a millisecond. If there's no output by then, the read returns
/// [`Decoded::OutOfBudget`].
const BUDGET: usize = 128 << 10;

/// The maximum number of codings. A body with more of them is an error, since nobody but
/// an attacker looking for amplification needs that many.
const MAX_CODINGS: usize = 2;

impl Decoder {
    /// Creates a decoder according to `headers`. Returns `None` if the body isn't
    /// encoded, or if we don't know one of its codings. In both cases it should be passed
    /// through as it is.
    pub(crate) fn from_headers(headers: &Headers) -> Result<Option<Self>, TooManyCodings> {
        let codings = match codings(headers) {
            Some(codings) if !codings.is_empty() => codings,
            _ => return Ok(None),
        };
        if codings.len() > MAX_CODINGS {
            return Err(TooManyCodings);
        }
        let source = Layer::Source(Source {
            bytes: Bytes::new(),
            is_complete: false,
            budget: BUDGET,
        });
        // Codings are listed in the order they were applied in, so the last one has to be
        // undone first.
        let layer = codings.into_iter().rfold(source, Layer::new);
        Ok(Some(Self {
            layer,
            is_fed: false,
        }))
    }

    /// Passes in more bytes of the body. Don't call this before everything that was fed
    /// earlier has been read.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        self.is_fed |= !bytes.is_empty();
        self.layer.source().bytes = bytes;
    }

    /// Call this once the whole encoded body has been fed.
    pub(crate) fn finish(&mut self) {
        self.layer.source().is_complete = true;
    }

    /// Decodes as much as fits into `buffer`.
    ///
    /// # Errors
    ///
    /// The body doesn't match its headers, or it's truncated.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Decoded> {
        let source = self.layer.source();
        source.budget = BUDGET;
        // Some origins declare a coding even though the body is empty.
        if !self.is_fed && source.is_complete {
            return Ok(Decoded::End);
        }
        match self.layer.read(buffer) {
            Ok(0) => Ok(Decoded::End),
            Ok(count) => Ok(Decoded::Bytes(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Ok(match self.layer.source().budget {
                    0 => Decoded::OutOfBudget,
                    _ => Decoded::NeedsInput,
                })
            }
            Err(error) => Err(error),
        }
    }
}

impl Layer {
    /// Adds a layer that decodes `coding` on top of `encoded`.
    fn new(encoded: Self, coding: Coding) -> Self {
        let encoded = BufReader::new(encoded);
        match coding {
            Coding::Gzip => Self::Gzip(Box::new(MultiGzDecoder::new(encoded))),
            Coding::Deflate => Self::Deflate(Box::new(DeflateReader::new(encoded))),
        }
    }

    /// Returns the lowest layer.
    fn source(&mut self) -> &mut Source {
        match self {
            Self::Source(source) => source,
            Self::Gzip(decoder) => decoder.get_mut().get_mut().source(),
            Self::Deflate(decoder) => decoder.get_mut().get_mut().source(),
        }
    }
}

impl Read for Layer {
    /// Reads from this layer, unless the budget is used up. If there were no budget, then
    /// a body that decodes to nothing could keep a thread busy for a long time.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Self::Source(source) = self {
            return source.read(buffer);
        }
        if self.source().budget == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = match self {
            Self::Source(source) => source.read(buffer)?,
            Self::Gzip(decoder) => decoder.read(buffer)?,
            Self::Deflate(decoder) => decoder.read(buffer)?,
        };
        let source = self.source();
        source.budget = source.budget.saturating_sub(count);
        Ok(count)
    }
}

impl Read for Source {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() && !self.is_complete {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.bytes.len().min(buffer.len());
        self.bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// Returns a body's codings in the order they were applied in. Returns `None` if we don't
/// know one of them.
fn codings(headers: &Headers) -> Option<Vec<Coding>> {
    let mut codings = Vec::new();
    for value in headers.get_all("content-encoding") {
        for name in std::str::from_utf8(value).ok()?.split(',') {
            match name.trim().to_ascii_lowercase().as_str() {
                "" | "identity" => {}
                "gzip" | "x-gzip" => codings.push(Coding::Gzip),
                "deflate" => codings.push(Coding::Deflate),
                _ => return None,
            }
        }
    }
    Some(codings)
}

#[cfg(test)]
mod tests;
