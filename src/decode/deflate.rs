//! The deflate coding, with or without its zlib header.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, bufread::ZlibDecoder};

/// Decodes a deflate body. Bytes after the end of the stream are discarded.
///
/// The coding is defined as deflate data with a zlib header (RFC 1950), but some origins
/// send raw deflate data (RFC 1951). The first byte tells the two apart.
pub(super) enum DeflateReader<R> {
    /// No byte has arrived yet.
    Undetected(Option<R>),
    /// The format is known.
    Detected {
        decoder: ZlibDecoder<R>,
        is_finished: bool,
    },
}

const NEVER_TAKEN: &str = "the reader is taken only when the variant changes";

impl<R: BufRead> DeflateReader<R> {
    pub(super) fn new(encoded: R) -> Self {
        Self::Undetected(Some(encoded))
    }

    /// Returns the encoded body.
    pub(super) fn get_mut(&mut self) -> &mut R {
        match self {
            Self::Undetected(encoded) => encoded.as_mut().expect(NEVER_TAKEN),
            Self::Detected { decoder, .. } => decoder.get_mut(),
        }
    }

    /// Creates the decoder once the first byte is there. Does nothing if the body is
    /// empty.
    fn detect(&mut self) -> io::Result<()> {
        let Self::Undetected(encoded) = self else {
            return Ok(());
        };
        let Some(first) = encoded.as_mut().expect(NEVER_TAKEN).fill_buf()?.first() else {
            return Ok(());
        };
        // A zlib header begins with the compression method 8 (RFC 1950, 2.2). No encoder
        // begins a raw stream with these bits: they would be a stored block that is not
        // the last, with padding that is not zero.
        let has_zlib_header = first & 0x0f == 8;
        let encoded = encoded.take().expect(NEVER_TAKEN);
        *self = Self::Detected {
            decoder: ZlibDecoder::new_with_decompress(encoded, Decompress::new(has_zlib_header)),
            is_finished: false,
        };
        Ok(())
    }
}

impl<R: BufRead> Read for DeflateReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.detect()?;
        let Self::Detected {
            decoder,
            is_finished,
        } = self
        else {
            return Ok(0);
        };
        if !*is_finished {
            let count = decoder.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            *is_finished = true;
        }
        // The body must be read to its end before its connection can be reused.
        io::copy(decoder.get_mut(), &mut io::sink())?;
        Ok(0)
    }
}
