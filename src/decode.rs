//! Content codings (RFC 9110, 8.4.1): gzip and deflate are decoded, up to two
//! of them one over the other, as the body comes, and never more at once than
//! there is room for. Brotli and zstd need windows of many megabytes, so they
//! are neither asked for nor decoded.

use std::{
    io::{self, BufRead, BufReader, ErrorKind, Read},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::{Buf, Bytes};
use flate2::{Decompress, FlushDecompress, Status, bufread::MultiGzDecoder};

use crate::response::Headers;

/// The codings to ask for.
pub(crate) const ACCEPTED: &[u8] = b"gzip, deflate";

/// A body being decoded. It is fed with what comes, and read until it has no
/// more to give for that.
pub(crate) struct Decoder {
    feed: Feed,
    slice: Arc<AtomicUsize>,
    is_fed: bool,
    decoded: Box<dyn Read + Send>,
}

/// Why a body is not decoded.
#[derive(Debug, thiserror::Error)]
#[error("more than {MAX_CODINGS} content codings")]
pub(crate) struct TooManyCodings;

/// What a read gives.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// So many bytes.
    Bytes(usize),
    /// Nothing, before it is fed again.
    Hungry,
    /// Nothing yet, though much was decoded. Ask again, after others.
    Busy,
    /// Nothing any more.
    End,
}

/// A coding that is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
}

/// What was fed and is not decoded yet; shared with the reader below.
#[derive(Clone, Default)]
struct Feed(Arc<Mutex<Fed>>);

#[derive(Default)]
struct Fed {
    bytes: Bytes,
    is_over: bool,
}

/// A decoder that stops for a while when all of them together have decoded as
/// much as one read may: what is decoded may be nothing once it is decoded
/// again.
struct Sliced {
    decoded: Box<dyn Read + Send>,
    left: Arc<AtomicUsize>,
}

/// deflate, with the zlib header that it should have or without.
struct Inflater<R> {
    input: R,
    state: Inflating,
}

enum Inflating {
    /// Not a byte has come.
    Unknown,
    Running(Box<Decompress>),
    Ended,
}

/// The most that one read decodes, over all codings, in bytes: well below a
/// millisecond's work.
const SLICE: usize = 128 << 10;

/// More than two are a way to make much of little.
const MAX_CODINGS: usize = 2;

impl Decoder {
    /// What decodes a body with these headers. `None`: it is not encoded, or in
    /// a way that is passed through as it is.
    pub(crate) fn of(headers: &Headers) -> Result<Option<Self>, TooManyCodings> {
        let Some(codings) = codings(headers) else {
            return Ok(None);
        };
        if codings.is_empty() {
            return Ok(None);
        }
        if codings.len() > MAX_CODINGS {
            return Err(TooManyCodings);
        }
        let feed = Feed::default();
        let slice = Arc::new(AtomicUsize::new(SLICE));
        let encoded: Box<dyn Read + Send> = Box::new(feed.clone());
        // The last one named was applied last, and comes off first.
        let decoded = codings.into_iter().rev().fold(encoded, |encoded, coding| {
            let decoded = coding.decoding(encoded);
            let left = Arc::clone(&slice);
            Box::new(Sliced { decoded, left })
        });
        Ok(Some(Self {
            feed,
            slice,
            is_fed: false,
            decoded,
        }))
    }

    /// Gives what has come. All that came before was read.
    pub(crate) fn feed(&mut self, bytes: Bytes) {
        self.is_fed |= !bytes.is_empty();
        self.feed.fed().bytes = bytes;
    }

    /// Says that nothing more comes.
    pub(crate) fn finish(&mut self) {
        self.feed.fed().is_over = true;
    }

    /// Decodes into `buffer` as much as fits.
    ///
    /// # Errors
    ///
    /// The body is not what its headers say, or was cut short.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Decoded> {
        // A body of nothing is no encoded body, and as empty.
        if !self.is_fed && self.feed.fed().is_over {
            return Ok(Decoded::End);
        }
        self.slice.store(SLICE, Ordering::Relaxed);
        match self.decoded.read(buffer) {
            Ok(0) => Ok(Decoded::End),
            Ok(count) => Ok(Decoded::Bytes(count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let is_used_up = self.slice.load(Ordering::Relaxed) == 0;
                Ok(if is_used_up {
                    Decoded::Busy
                } else {
                    Decoded::Hungry
                })
            }
            Err(error) => Err(error),
        }
    }
}

impl Coding {
    fn decoding(self, encoded: Box<dyn Read + Send>) -> Box<dyn Read + Send> {
        let encoded = BufReader::new(encoded);
        match self {
            // A gzip body may have several members (RFC 1952, 2.2).
            Self::Gzip => Box::new(MultiGzDecoder::new(encoded)),
            Self::Deflate => Box::new(Inflater {
                input: encoded,
                state: Inflating::Unknown,
            }),
        }
    }
}

impl Feed {
    fn fed(&self) -> MutexGuard<'_, Fed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Read for Feed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut fed = self.fed();
        if fed.bytes.is_empty() && !fed.is_over {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = fed.bytes.len().min(buffer.len());
        fed.bytes.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

impl Read for Sliced {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = self.decoded.read(buffer)?;
        self.left
            .store(left.saturating_sub(count), Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: BufRead> Read for Inflater<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.input.fill_buf()?;
            let Some(first) = input.first() else {
                return self.read_last(buffer);
            };
            match &mut self.state {
                Inflating::Unknown => {
                    // The method 8 in the first byte of a zlib header (RFC
                    // 1950, 2.2) would begin no deflate stream that a coder
                    // makes.
                    let has_header = first & 0x0f == 8;
                    self.state = Inflating::Running(Box::new(Decompress::new(has_header)));
                }
                Inflating::Running(inflate) => {
                    let (consumed, produced, status) = run(inflate, input, buffer)?;
                    self.input.consume(consumed);
                    if status == Status::StreamEnd {
                        self.state = Inflating::Ended;
                    } else if consumed == 0 && produced == 0 {
                        return Err(ErrorKind::InvalidData.into());
                    }
                    if produced > 0 {
                        return Ok(produced);
                    }
                }
                // What follows the end is passed over.
                Inflating::Ended => {
                    let rest = input.len();
                    self.input.consume(rest);
                }
            }
        }
    }
}

impl<R: BufRead> Inflater<R> {
    /// Reads what is left once nothing more comes.
    fn read_last(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Inflating::Running(inflate) = &mut self.state else {
            return Ok(0);
        };
        let (_, produced, status) = run(inflate, &[], buffer)?;
        if status == Status::StreamEnd {
            self.state = Inflating::Ended;
        } else if produced == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        Ok(produced)
    }
}

/// What was consumed and produced, and whether that is all.
fn run(
    inflate: &mut Decompress,
    input: &[u8],
    output: &mut [u8],
) -> io::Result<(usize, usize, Status)> {
    let before = (inflate.total_in(), inflate.total_out());
    let status = inflate
        .decompress(input, output, FlushDecompress::None)
        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    let count = |now: u64, before: u64| {
        usize::try_from(now - before).expect("no more than the length of a slice")
    };
    let consumed = count(inflate.total_in(), before.0);
    let produced = count(inflate.total_out(), before.1);
    Ok((consumed, produced, status))
}

/// The codings of a body in the order in which they were applied, or `None`
/// where one of them is not known.
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
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;

    fn decoder(codings: &'static str) -> Option<Decoder> {
        Decoder::of(&[("content-encoding", codings)].into()).unwrap()
    }

    /// Decodes `body` as it comes in pieces, into a buffer of a few bytes.
    fn decoded(codings: &'static str, body: &[u8], piece: usize) -> io::Result<Vec<u8>> {
        let mut decoder = decoder(codings).unwrap();
        let mut pieces = body.chunks(piece);
        let (mut whole, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match decoder.read(&mut buffer)? {
                Decoded::Bytes(count) => whole.extend_from_slice(&buffer[..count]),
                Decoded::End => return Ok(whole),
                Decoded::Busy => {}
                Decoded::Hungry => match pieces.next() {
                    Some(piece) => decoder.feed(Bytes::copy_from_slice(piece)),
                    None => decoder.finish(),
                },
            }
        }
    }

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(data: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(data: &[u8], level: Compression) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), level);
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn bodies_are_decoded_however_they_come() {
        let data: Vec<u8> = (0..10_000_u32).flat_map(u32::to_le_bytes).collect();
        let two_members = [gzip(&data), gzip(b"more")].concat();
        for piece in [1, 5, 1000, usize::MAX] {
            assert_eq!(decoded("gzip", &gzip(&data), piece).unwrap(), data);
            assert_eq!(
                decoded("X-GZIP", &two_members, piece).unwrap(),
                [&data[..], b"more"].concat()
            );
            assert_eq!(decoded("deflate", &zlib(&data), piece).unwrap(), data);
            for level in [
                Compression::none(),
                Compression::fast(),
                Compression::best(),
            ] {
                assert_eq!(
                    decoded("deflate", &deflate(&data, level), piece).unwrap(),
                    data
                );
            }
            let twice = gzip(&zlib(&data));
            assert_eq!(decoded("deflate, gzip", &twice, piece).unwrap(), data);
            assert_eq!(decoded("gzip", &gzip(b""), piece).unwrap(), b"");
        }
    }

    #[test]
    fn what_is_cut_or_wrong_is_said() {
        let data = [7; 10_000];
        for (codings, body) in [("gzip", gzip(&data)), ("deflate", zlib(&data))] {
            for length in 1..body.len() {
                assert!(
                    decoded(codings, &body[..length], 100).is_err(),
                    "{codings} {length}"
                );
            }
            let mut wrong = body.clone();
            *wrong.last_mut().unwrap() ^= 1;
            assert!(decoded(codings, &wrong, 100).is_err(), "{codings}");
            assert!(decoded(codings, b"neither of them", 100).is_err());
        }
        let raw = deflate(&data, Compression::best());
        assert!(decoded("deflate", &raw[..raw.len() - 1], 100).is_err());
    }

    #[test]
    fn what_is_not_known_is_passed_through() {
        for codings in ["br", "zstd", "gzip, br", "identity", "", "compress"] {
            assert!(decoder(codings).is_none(), "{codings}");
        }
        assert!(decoder("identity, gzip").is_some());
        let headers = [("content-encoding", "gzip, gzip, gzip")].into();
        assert!(Decoder::of(&headers).is_err());
    }
}
