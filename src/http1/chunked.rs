//! A streaming decoder for chunked bodies (RFC 9112, 7.1).
//!
//! Lines have to end with CRLF. If we accepted a bare LF and a proxy in between didn't,
//! then the two of us would disagree about where the response ends. On the other hand we
//! do accept white space after a chunk size, which is common and harmless. Extensions and
//! trailers are thrown away.

use super::Error;

/// Decodes a single chunked body.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// How many more bytes of extensions we accept.
    extensions: usize,
    /// How many more bytes of trailers we accept.
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first digit of a chunk size.
    Start,
    /// Within a chunk size. This is its value so far.
    Size(u64),
    /// In white space after a chunk size.
    SizeSpace(u64),
    Extension(u64),
    /// After the CR at the end of a chunk size line.
    SizeCr(u64),
    /// Within a chunk, with this many bytes still missing.
    Data(u64),
    /// After the last byte of a chunk.
    DataEnd,
    DataCr,
    /// At the start of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerCr,
    /// After the CR of the empty line that ends the body.
    LastCr,
    Complete,
}

/// The maximum number of extension bytes per body, and also of trailer bytes. A body with
/// more of either is malformed.
const MAX_EXTRAS: usize = 16 << 10;

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            extensions: MAX_EXTRAS,
            trailers: MAX_EXTRAS,
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Returns how many bytes of the current chunk are missing.
    pub(super) fn missing(&self) -> u64 {
        match self.state {
            State::Data(missing) => missing,
            _ => 0,
        }
    }

    /// Tells the decoder that `count` bytes of the current chunk were read by someone
    /// else.
    pub(super) fn advance(&mut self, count: u64) {
        if let State::Data(missing) = self.state {
            self.state = after_data(missing - count);
        }
    }

    /// Decodes `input` and appends at most `room` bytes to `body`.
    ///
    /// Returns how many bytes of `input` were used. That's all of them, unless `room` is
    /// used up or the body is complete.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        mut room: usize,
    ) -> Result<usize, Error> {
        let mut used = 0;
        while let Some(byte) = input.get(used)
            && !self.is_complete()
        {
            if let State::Data(missing) = self.state {
                let rest = &input[used..];
                let of_chunk = usize::try_from(missing).unwrap_or(usize::MAX);
                let count = of_chunk.min(rest.len()).min(room);
                if count == 0 {
                    break;
                }
                body.extend_from_slice(&rest[..count]);
                room -= count;
                used += count;
                self.state = after_data(missing - count as u64);
            } else {
                self.state = self.after(*byte)?;
                used += 1;
            }
        }
        Ok(used)
    }

    /// Returns the next state after `byte`. This handles everything except chunk data.
    fn after(&mut self, byte: u8) -> Result<State, Error> {
        match (self.state, byte) {
            (State::DataEnd, b'\r') => Ok(State::DataCr),
            (State::DataCr, b'\n') => Ok(State::Start),
            (State::DataEnd | State::DataCr, _) => Err(Error::malformed(
                "the data of a chunk is longer than its size: expected CRLF behind it",
            )),
            (State::TrailerStart | State::Trailer | State::TrailerCr | State::LastCr, _) => {
                self.after_trailer(byte)
            }
            // `decode` takes care of these.
            (state @ (State::Data(_) | State::Complete), _) => Ok(state),
            _ => self.after_size(byte),
        }
    }

    /// Returns the next state after a byte in a chunk size line.
    fn after_size(&mut self, byte: u8) -> Result<State, Error> {
        use State::{Data, Extension, Size, SizeCr, SizeSpace, TrailerStart};

        Ok(match (self.state, byte) {
            (Size(size) | SizeSpace(size) | Extension(size), b'\r') => SizeCr(size),
            (Size(size) | SizeSpace(size), b' ' | b'\t') => SizeSpace(self.extension(size)?),
            (Size(size) | SizeSpace(size), b';') => Extension(self.extension(size)?),
            (Size(size), _) if byte.is_ascii_hexdigit() => {
                if size >> 60 != 0 {
                    return Err(Error::malformed("a chunk size has more than 64 bits"));
                }
                if size == 0 {
                    // Count it as an extension, so that there can't be endless zeros.
                    self.extension(size)?;
                }
                Size(size << 4 | digit(byte)?)
            }
            (Size(_) | SizeSpace(_) | Extension(_), b'\n') => {
                return Err(Error::malformed(
                    "the line of a chunk size ends with LF: expected CRLF",
                ));
            }
            (Extension(size), _) => Extension(self.extension(size)?),
            (SizeCr(0), b'\n') => TrailerStart,
            (SizeCr(size), b'\n') => Data(size),
            (SizeCr(_), _) => {
                return Err(Error::malformed(
                    "the line of a chunk size has a CR without LF",
                ));
            }
            (Size(_) | SizeSpace(_), _) => return Err(invalid_size()),
            // This is the first digit.
            _ => Size(digit(byte)?),
        })
    }

    /// Returns the next state after a byte beyond the last chunk.
    fn after_trailer(&mut self, byte: u8) -> Result<State, Error> {
        use State::{Complete, LastCr, Trailer, TrailerCr, TrailerStart};

        Ok(match (self.state, byte) {
            (TrailerStart, b'\r') => LastCr,
            (LastCr, b'\n') => Complete,
            (Trailer, b'\r') => TrailerCr,
            (TrailerCr, b'\n') => TrailerStart,
            (TrailerStart | Trailer, b'\n') => {
                return Err(Error::malformed(
                    "a trailer line ends with LF: expected CRLF",
                ));
            }
            (TrailerCr | LastCr, _) => {
                return Err(Error::malformed("a trailer line has a CR without LF"));
            }
            _ => {
                self.trailers = self.trailers.checked_sub(1).ok_or_else(|| {
                    Error::malformed(format!("the trailers have more than {MAX_EXTRAS} bytes"))
                })?;
                Trailer
            }
        })
    }

    /// Counts a byte between a chunk size and the end of its line (an extension, or white
    /// space) towards the limit on extensions.
    fn extension(&mut self, size: u64) -> Result<u64, Error> {
        self.extensions = self.extensions.checked_sub(1).ok_or_else(|| {
            Error::malformed(format!(
                "the chunk extensions have more than {MAX_EXTRAS} bytes"
            ))
        })?;
        Ok(size)
    }
}

fn after_data(missing: u64) -> State {
    match missing {
        0 => State::DataEnd,
        missing => State::Data(missing),
    }
}

fn digit(byte: u8) -> Result<u64, Error> {
    let digit = char::from(byte).to_digit(16).ok_or_else(invalid_size)?;
    Ok(digit.into())
}

fn invalid_size() -> Error {
    Error::malformed("a chunk size is not a hexadecimal number")
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Decoded {
        body: Vec<u8>,
        is_complete: bool,
        used: usize,
    }

    /// Decodes `input` in pieces of `piece` bytes, with room for at most `room` bytes of
    /// the body at a time.
    fn decode(input: &[u8], piece: usize, room: usize) -> Result<Decoded, Error> {
        let mut chunked = Chunked::new();
        let mut body = Vec::new();
        let mut used = 0;
        for piece in input.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() && !chunked.is_complete() {
                let count = chunked.decode(rest, &mut body, room)?;
                used += count;
                rest = &rest[count..];
            }
        }
        Ok(Decoded {
            body,
            is_complete: chunked.is_complete(),
            used,
        })
    }

    #[test]
    fn body_is_the_same_in_pieces_of_any_size() {
        let input = b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n1 \t\r\n!\r\n000\r\na: b\r\n\r\nrest";
        for piece in 1..input.len() {
            for room in [1, 4, 100] {
                let decoded = decode(input, piece, room).unwrap();
                assert_eq!(decoded.body, b"abc0123456789!");
                assert!(decoded.is_complete);
                assert_eq!(&input[decoded.used..], b"rest");
            }
        }
    }

    #[test]
    fn extensions_and_trailers_are_bounded_over_the_whole_body() {
        let line = format!("1;{}\r\nx\r\n", "e".repeat(1000));
        assert!(decode(line.repeat(16).as_bytes(), 999, 99).is_ok());
        assert!(decode(line.repeat(17).as_bytes(), 999, 99).is_err());
        let spaces = format!("1{}\r\nx\r\n", " ".repeat(MAX_EXTRAS + 1));
        assert!(decode(spaces.as_bytes(), 999, 99).is_err());
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(MAX_EXTRAS));
        assert!(decode(trailers.as_bytes(), 999, 99).is_err());
    }

    #[test]
    fn ambiguous_bodies_are_rejected() {
        for input in [
            "\r\n",
            " 1\r\n",
            "g\r\n",
            "0x1\r\n",
            "-1\r\n",
            "1\n",
            "1;a\n",
            "1 2\r\n",
            "1\rx",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1\r\na\rb",
            "0\r\na: b\n",
            "0\r\n\n",
            "0\r\n\rx",
            "10000000000000000\r\n",
        ] {
            assert!(decode(input.as_bytes(), 1, 100).is_err(), "{input:?}");
        }
        assert!(decode(b"0000000000000000000000001\r\nx\r\n0\r\n\r\n", 3, 100).is_ok());
        assert!(decode(b"ffffffffffffffff\r\nx", 3, 100).is_ok());
    }
}
