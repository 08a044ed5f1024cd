//! Properties that must hold for any body, in pieces of any size.
//!
//! Both the random tests and the fuzzer check them.

use std::io::Write;

use bytes::Bytes;
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::{BUDGET, Decoded, Decoder};
use crate::response::Headers;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Gzip,
    /// The deflate coding as the RFCs define it.
    Zlib,
    /// The deflate coding without a header.
    Deflate,
}

/// How a body arrives, and how it's read. Both sizes are at least 1.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// The size in bytes of the pieces in which the body arrives.
    pub piece: usize,
    /// The size in bytes of the buffer that it's decoded into.
    pub buffer: usize,
}

/// The sizes if the body arrives at once.
const AT_ONCE: Sizes = Sizes {
    piece: usize::MAX,
    buffer: 16 << 10,
};

/// Stop reading after this many bytes, as a fetch does at its limit.
const MAX_BYTES: usize = 1 << 20;

/// A deflate stream never has more than this many bytes for each byte of its encoded form.
const MAX_RATIO: usize = 1032;

/// The part of a body that was decoded.
#[derive(Debug, PartialEq, Eq)]
struct Output {
    bytes: Vec<u8>,
    end: End,
}

#[derive(Debug, PartialEq, Eq)]
enum End {
    Complete,
    Failed(String),
    /// There are more than [`MAX_BYTES`].
    TooLarge,
}

/// Panics if `data` isn't what we get after encoding it with `formats` and decoding it
/// again.
pub fn encoded_data_is_decoded(formats: &[Format], data: &[u8], sizes: Sizes) {
    let output = decoded(&codings(formats), &encoded(formats, data), sizes);
    let end = match data.len() {
        0..MAX_BYTES => End::Complete,
        _ => End::TooLarge,
    };
    let bytes = data[..data.len().min(MAX_BYTES)].to_vec();
    assert_eq!(output, Output { bytes, end }, "{formats:?} {sizes:?}");
}

/// Decodes a body of any bytes, which claims to be encoded with `formats`.
///
/// Panics if the result depends on `sizes`, if we don't read all of a complete body, or if
/// decoding never ends.
pub fn body_is_decoded_the_same_in_pieces_of_any_size(
    formats: &[Format],
    body: &[u8],
    sizes: Sizes,
) {
    let codings = codings(formats);
    let whole = decoded(&codings, body, AT_ONCE);
    let pieces = decoded(&codings, body, sizes);
    let context = || format!("{codings} {sizes:?}");
    if whole.end == End::Complete || pieces.end == End::Complete {
        assert_eq!(pieces, whole, "{}", context());
    }
    // How much we get before an error depends on the sizes.
    let shorter = whole.bytes.len().min(pieces.bytes.len());
    let is_same = whole.bytes[..shorter] == pieces.bytes[..shorter];
    assert!(is_same, "other bytes: {}", context());
}

/// Returns `data` encoded with each of `formats` in turn.
pub fn encoded(formats: &[Format], data: &[u8]) -> Vec<u8> {
    let encode = |data: Vec<u8>, format: &Format| match format {
        Format::Gzip => gzip(&data),
        Format::Zlib => zlib(&data),
        Format::Deflate => deflate(&data, Compression::fast()),
    };
    formats.iter().fold(data.to_vec(), encode)
}

/// Decodes `body`, and checks that each read keeps to its buffer and makes progress.
fn decoded(codings: &str, body: &[u8], sizes: Sizes) -> Output {
    let mut headers = Headers::default();
    headers.push("content-encoding", codings.bytes());
    let decoder = Decoder::from_headers(&headers).expect("there are at most two codings");
    let mut decoder = decoder.expect("all codings are known");
    let mut pieces = body.chunks(sizes.piece);
    let mut buffer = vec![0; sizes.buffer];
    let mut bytes = Vec::new();
    let mut is_finished = false;
    let mut interruptions = 0;
    let end = loop {
        match decoder.read(&mut buffer) {
            Ok(Decoded::Bytes(count)) => bytes.extend_from_slice(&buffer[..count]),
            Ok(Decoded::End) => {
                assert!(pieces.next().is_none(), "part of the body was not read");
                break End::Complete;
            }
            // Each time, the lower layer has decoded a budget's worth.
            Ok(Decoded::OutOfBudget) => {
                interruptions += 1;
                let max = body.len() * MAX_RATIO / BUDGET;
                assert!(interruptions <= max, "decoding does not end");
            }
            Ok(Decoded::NeedsInput) => {
                assert!(!is_finished, "there is no more input");
                if let Some(piece) = pieces.next() {
                    decoder.feed(Bytes::copy_from_slice(piece));
                } else {
                    is_finished = true;
                    decoder.finish();
                }
            }
            Err(error) => break End::Failed(error.to_string()),
        }
        if bytes.len() >= MAX_BYTES {
            bytes.truncate(MAX_BYTES);
            break End::TooLarge;
        }
    };
    Output { bytes, end }
}

/// Returns the value of the header that names `formats`.
fn codings(formats: &[Format]) -> String {
    let names = formats.iter().map(|format| match format {
        Format::Gzip => "gzip",
        Format::Zlib | Format::Deflate => "deflate",
    });
    names.collect::<Vec<_>>().join(", ")
}

pub(super) fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    written(encoder.write_all(data));
    written(encoder.finish())
}

pub(super) fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    written(encoder.write_all(data));
    written(encoder.finish())
}

pub(super) fn deflate(data: &[u8], level: Compression) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), level);
    written(encoder.write_all(data));
    written(encoder.finish())
}

fn written<T>(result: std::io::Result<T>) -> T {
    result.expect("writing to a vector cannot fail")
}
