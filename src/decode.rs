//! Content codings (RFC 9110, 8.4.1).
//!
//! A [`Decoder`] decodes gzip and deflate while the body arrives, and never produces
//! more than its caller has room for. Up to two codings may be applied to one body.
//! Brotli and zstd are neither requested nor decoded, because they need windows of many
//! megabytes.

mod deflate;

use std::io::{self, BufReader, ErrorKind, Read};

use bytes::{Buf, Bytes};
use flate2::bufread::MultiGzDecoder;

use crate::response::Headers;
use deflate::DeflateReader;

/// The codings to request, as the value of an `accept-encoding` header.
pub(crate) const ACCEPT_ENCODING: &[u8] = b"gzip, deflate";

/// Decodes one body. The caller alternates between [`Decoder::feed`] and
/// [`Decoder::read`].
pub(crate) struct Decoder {
    layer: Layer,
    /// True once any byte was fed.
    is_fed: bool,
}

/// The error for a body with too many codings.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_CODINGS} content codings")]
pub(crate) struct TooManyCodings;

/// The result of one read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// This number of bytes was decoded.
    Bytes(usize),
    /// Nothing can be decoded before more is fed.
    NeedsInput,
    /// Much was decoded without any output. The caller should let other tasks run and
    /// then read again.
    OutOfBudget,
    /// The body has ended.
    End,
}

/// A supported coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// The encoded body, or a decoder of the layer below.
enum Layer {
    Source(Source),
    // A body may consist of several members (RFC 1952, 2.2).
    Gzip(Box<MultiGzDecoder<BufReader<Layer>>>),
    Deflate(Box<DeflateReader<BufReader<Layer>>>),
}

/// The encoded bytes that were fed but not decoded yet.
struct Source {
    bytes: Bytes,
    /// True if nothing more will be fed.
    is_complete: bool,
    /// The number of bytes that all layers together may still decode in this read.
    budget: usize,
}

/// The maximum number of bytes that one read decodes, over all layers: much less than a
/// millisecond of work.
const BUDGET: usize = 128 << 10;

/// The maximum number of codings. Further codings only help attackers to amplify.
const MAX_CODINGS: usize = 2;

impl Decoder {
    /// Creates the decoder for a body with `headers`. Returns `None` if the body is not
    /// encoded or has an unknown coding; it is then passed through unchanged.
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
        // The header lists the codings in the order in which they were applied.
        let layer = codings.into_iter().rfold(source, Layer::new);
        Ok(Some(Self {
            layer,
            is_fed: false,
        }))
    }

    /// Passes in the next bytes of the body. All bytes fed before must have been read.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        self.is_fed |= !bytes.is_empty();
        self.layer.source().bytes = bytes;
    }

    /// Marks the end of the encoded body.
    pub(crate) fn finish(&mut self) {
        self.layer.source().is_complete = true;
    }

    /// Decodes into `buffer` as much as fits.
    ///
    /// # Errors
    ///
    /// The body does not match its headers or is truncated.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Decoded> {
        let source = self.layer.source();
        source.budget = BUDGET;
        // Some origins declare a coding for an empty body.
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
    /// Creates a layer that decodes `coding` of `encoded`.
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
    /// Reads within the budget. Without it, a body that decodes to nothing could keep a
    /// thread busy.
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

/// Returns the codings of a body in the order in which they were applied, or `None` if
/// one of them is unknown.
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
