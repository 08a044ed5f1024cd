//! The chunked transfer coding (RFC 9112, 7.1), decoded as it comes.
//!
//! Lines must end with CRLF: an origin and a proxy that disagree about a bare
//! LF disagree about where the response ends. White space after a size is
//! common and harmless, and is accepted. Extensions and trailers are dropped.

use super::Error;

/// A chunked body that is being decoded.
#[derive(Debug)]
pub(super) struct Chunked {
    state: State,
    /// How many more bytes of extensions are read.
    extensions: usize,
    /// How many more bytes of trailers are read.
    trailers: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before the first digit of a size.
    Start,
    /// In a size, with its value so far.
    Size(u64),
    /// In the white space after a size.
    SizeSpace(u64),
    Extension(u64),
    /// After the CR that ends a line with a size.
    SizeCr(u64),
    /// So many bytes of a chunk are missing.
    Data(u64),
    /// After the last byte of a chunk.
    DataEnd,
    DataCr,
    /// At the start of a line after the last chunk.
    TrailerStart,
    Trailer,
    TrailerCr,
    /// After the CR of the empty line.
    LastCr,
    Over,
}

/// The most bytes of extensions in one body, and the most of its trailers.
const MAX_EXTRAS: usize = 16 << 10;

impl Chunked {
    pub(super) fn new() -> Self {
        Self {
            state: State::Start,
            extensions: MAX_EXTRAS,
            trailers: MAX_EXTRAS,
        }
    }

    /// Returns true if the body has come to its end.
    pub(super) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// How many bytes of the present chunk are missing.
    pub(super) fn missing(&self) -> u64 {
        match self.state {
            State::Data(missing) => missing,
            _ => 0,
        }
    }

    /// Notes that `count` bytes of the present chunk were read past the decoder.
    pub(super) fn skip(&mut self, count: u64) {
        if let State::Data(missing) = self.state {
            self.state = after_data(missing - count);
        }
    }

    /// Decodes `input` onto the end of `body`, at most `room` bytes, and returns
    /// how much of `input` was used: all of it unless the room is used up or the
    /// body is over.
    pub(super) fn decode(
        &mut self,
        input: &[u8],
        body: &mut Vec<u8>,
        mut room: usize,
    ) -> Result<usize, Error> {
        let mut used = 0;
        while let Some(byte) = input.get(used)
            && !self.is_over()
        {
            if let State::Data(missing) = self.state {
                let rest = &input[used..];
                let count = usize::try_from(missing).unwrap_or(usize::MAX);
                let count = count.min(rest.len()).min(room);
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

    /// The state after `byte`, which is none of a chunk's data.
    fn after(&mut self, byte: u8) -> Result<State, Error> {
        use State::{
            Data, DataCr, DataEnd, Extension, LastCr, Over, Size, SizeCr, SizeSpace, Start,
            Trailer, TrailerCr, TrailerStart,
        };

        Ok(match (self.state, byte) {
            (Start, _) => Size(digit(byte)?),
            (Size(size) | SizeSpace(size) | Extension(size), b'\r') => SizeCr(size),
            (Size(size) | SizeSpace(size), b' ' | b'\t') => SizeSpace(self.extension(size)?),
            (Size(size) | SizeSpace(size), b';') => Extension(self.extension(size)?),
            (Size(size), _) if byte.is_ascii_hexdigit() => {
                if size >> 60 != 0 {
                    return Err(Error::malformed("a chunk size has more than 64 bits"));
                }
                // Leading zeros have no other bound.
                let size = if size == 0 { self.extension(0)? } else { size };
                Size(size << 4 | digit(byte)?)
            }
            (Size(_) | SizeSpace(_) | Extension(_), b'\n') => {
                return Err(Error::malformed(
                    "the line of a chunk size ends with LF alone; CRLF is accepted",
                ));
            }
            (Size(_) | SizeSpace(_), _) => return Err(no_size()),
            (Extension(size), _) => Extension(self.extension(size)?),
            (SizeCr(0) | TrailerCr, b'\n') => TrailerStart,
            (SizeCr(size), b'\n') => Data(size),
            (SizeCr(_), _) => {
                return Err(Error::malformed(
                    "the line of a chunk size has a CR that no LF follows",
                ));
            }
            (DataEnd, b'\r') => DataCr,
            (DataCr, b'\n') => Start,
            (DataEnd | DataCr, _) => {
                return Err(Error::malformed(
                    "no CRLF follows the data of a chunk; its size is wrong",
                ));
            }
            (TrailerStart, b'\r') => LastCr,
            (Trailer, b'\r') => TrailerCr,
            (TrailerStart | Trailer, b'\n') => {
                return Err(Error::malformed(
                    "a trailer line ends with LF alone; CRLF is accepted",
                ));
            }
            (TrailerStart | Trailer, _) => {
                self.trailers = self.trailers.checked_sub(1).ok_or_else(|| {
                    Error::malformed(format!("the trailers have more than {MAX_EXTRAS} bytes"))
                })?;
                Trailer
            }
            (LastCr, b'\n') => Over,
            (TrailerCr | LastCr, _) => {
                return Err(Error::malformed(
                    "a trailer line has a CR that no LF follows",
                ));
            }
            // `decode` handles these.
            (state @ (Data(_) | Over), _) => state,
        })
    }

    /// Counts a byte of an extension, or of white space, after `size`.
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
    let digit = char::from(byte).to_digit(16).ok_or_else(no_size)?;
    Ok(digit.into())
}

fn no_size() -> Error {
    Error::malformed("a chunk size is not a hexadecimal number")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `input` in pieces of `piece` bytes, into a body with `room` at a
    /// time.
    fn decoded(input: &[u8], piece: usize, room: usize) -> Result<(Vec<u8>, bool, usize), Error> {
        let (mut chunked, mut body, mut used) = (Chunked::new(), Vec::new(), 0);
        for piece in input.chunks(piece) {
            let mut rest = piece;
            while !rest.is_empty() && !chunked.is_over() {
                let count = chunked.decode(rest, &mut body, room)?;
                used += count;
                rest = &rest[count..];
            }
        }
        Ok((body, chunked.is_over(), used))
    }

    #[test]
    fn a_body_is_the_same_however_it_is_cut() {
        let input = b"3\r\nabc\r\n0A;x=y\r\n0123456789\r\n1 \t\r\n!\r\n000\r\na: b\r\n\r\nrest";
        for piece in 1..input.len() {
            for room in [1, 4, 100] {
                let (body, is_over, used) = decoded(input, piece, room).unwrap();
                assert_eq!(body, b"abc0123456789!");
                assert!(is_over);
                assert_eq!(&input[used..], b"rest");
            }
        }
    }

    #[test]
    fn extras_are_bounded_over_the_whole_body() {
        let line = format!("1;{}\r\nx\r\n", "e".repeat(1000));
        assert!(decoded(line.repeat(16).as_bytes(), 999, 99).is_ok());
        assert!(decoded(line.repeat(17).as_bytes(), 999, 99).is_err());
        let spaces = format!("1{}\r\nx\r\n", " ".repeat(MAX_EXTRAS + 1));
        assert!(decoded(spaces.as_bytes(), 999, 99).is_err());
        let trailers = format!("0\r\n{}", "a: b\r\n".repeat(MAX_EXTRAS));
        assert!(decoded(trailers.as_bytes(), 999, 99).is_err());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
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
            assert!(decoded(input.as_bytes(), 1, 100).is_err(), "{input:?}");
        }
        assert!(decoded(b"0000000000000000000000001\r\nx\r\n0\r\n\r\n", 3, 100).is_ok());
        assert!(decoded(b"ffffffffffffffff\r\nx", 3, 100).is_ok());
    }
}
