//! The deflate coding, both with and without a zlib header.

use std::io::{self, BufRead, Read};

use flate2::{Decompress, bufread::ZlibDecoder};

/// Decodes a deflate body. If there's anything after the end of the stream, it's
/// discarded.
///
/// According to the RFCs, this coding is deflate data with a zlib header (RFC 1950).
/// However, some origins send raw deflate data (RFC 1951) instead. We can tell by the
/// first byte.
pub(super) enum DeflateReader<R> {
    /// We haven't got any bytes yet.
    Undetected(Option<R>),
    /// We know which format it is.
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

    /// Creates the decoder as soon as we have the first byte. If the body is empty, this
    /// doesn't do anything.
    fn detect(&mut self) -> io::Result<()> {
        let Self::Undetected(encoded) = self else {
            return Ok(());
        };
        let Some(first) = encoded.as_mut().expect(NEVER_TAKEN).fill_buf()?.first() else {
            return Ok(());
        };
        // A zlib header starts with compression method 8 (RFC 1950, 2.2). If this were a
        // raw stream, the same bits would mean a stored block that isn't the last one and
        // has non-zero padding. No encoder writes that.
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
        // Read the rest of the body, or we couldn't reuse the connection.
        io::copy(decoder.get_mut(), &mut io::sink())?;
        Ok(0)
    }
}
