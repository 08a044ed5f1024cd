//! Tests decoding in pieces of any size, as well as bodies that don't match their
//! headers.

use flate2::Compression;
use proptest::prelude::*;

use super::{
    property::{
        Format, Sizes, body_is_decoded_the_same_in_pieces_of_any_size, deflate, encoded,
        encoded_data_is_decoded, gzip, zlib,
    },
    *,
};

fn decoder(codings: &'static str) -> Option<Decoder> {
    Decoder::from_headers(&[("content-encoding", codings)].into()).unwrap()
}

/// Decodes `body` into a small buffer. The body arrives in pieces of `piece` bytes.
fn decoded(codings: &'static str, body: &[u8], piece: usize) -> io::Result<Vec<u8>> {
    let mut decoder = decoder(codings).unwrap();
    let mut pieces = body.chunks(piece);
    let mut output = Vec::new();
    let mut buffer = [0; 7];
    loop {
        match decoder.read(&mut buffer)? {
            Decoded::Bytes(count) => output.extend_from_slice(&buffer[..count]),
            Decoded::End => return Ok(output),
            Decoded::OutOfBudget => {}
            Decoded::NeedsInput => match pieces.next() {
                Some(piece) => decoder.feed(Bytes::copy_from_slice(piece)),
                None => decoder.finish(),
            },
        }
    }
}

#[test]
fn bodies_are_decoded_in_pieces_of_any_size() {
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
fn truncated_and_corrupt_bodies_are_errors() {
    let data = [7; 10_000];
    for (codings, body) in [("gzip", gzip(&data)), ("deflate", zlib(&data))] {
        for length in 1..body.len() {
            assert!(
                decoded(codings, &body[..length], 100).is_err(),
                "{codings} {length}"
            );
        }
        let mut corrupt = body.clone();
        *corrupt.last_mut().unwrap() ^= 1;
        assert!(decoded(codings, &corrupt, 100).is_err(), "{codings}");
        assert!(decoded(codings, b"not encoded", 100).is_err());
    }
    let raw = deflate(&data, Compression::best());
    assert!(decoded("deflate", &raw[..raw.len() - 1], 100).is_err());
}

#[test]
fn unknown_codings_are_passed_through() {
    for codings in ["br", "zstd", "gzip, br", "identity", "", "compress"] {
        assert!(decoder(codings).is_none(), "{codings}");
    }
    assert!(decoder("identity, gzip").is_some());
    let headers = [("content-encoding", "gzip, gzip, gzip")].into();
    assert!(Decoder::from_headers(&headers).is_err());
}

#[test]
fn bytes_after_the_last_gzip_member_are_an_error() {
    for trailing in [&b"trailing"[..], &[0; 100]] {
        let body = [&gzip(b"body"), trailing].concat();
        for piece in [1, 30, usize::MAX] {
            assert!(decoded("gzip", &body, piece).is_err());
        }
    }
}

#[test]
fn bytes_after_the_end_of_deflate_are_discarded() {
    for encoded in [zlib(b"body"), deflate(b"body", Compression::best())] {
        let body = [&encoded, &b"trailing"[..]].concat();
        for piece in [1, 5, usize::MAX] {
            assert_eq!(decoded("deflate", &body, piece).unwrap(), b"body");
        }
    }
}

#[test]
fn work_without_output_is_interrupted() {
    // Empty members. Together they have 20 times as many bytes as a single read may
    // decode.
    let empty_members = gzip(b"").repeat(20 * BUDGET / gzip(b"").len());
    for codings in ["gzip, gzip", "gzip, deflate"] {
        let body = match codings {
            "gzip, gzip" => gzip(&empty_members),
            _ => zlib(&empty_members),
        };
        let mut decoder = decoder(codings).unwrap();
        decoder.feed(body.into());
        decoder.finish();
        let mut interruptions = 0;
        while decoder.read(&mut [0; 7]).unwrap() != Decoded::End {
            interruptions += 1;
        }
        assert!((19..=21).contains(&interruptions), "{interruptions}");
    }
}

fn formats() -> impl Strategy<Value = Vec<Format>> {
    let format = prop::sample::select(vec![Format::Gzip, Format::Zlib, Format::Deflate]);
    prop::collection::vec(format, 1..=MAX_CODINGS)
}

fn sizes() -> impl Strategy<Value = Sizes> {
    (1..50_usize, 1..50_usize).prop_map(|(piece, buffer)| Sizes { piece, buffer })
}

proptest! {
    #[test]
    fn any_data_is_decoded(
        formats in formats(),
        data in prop::collection::vec(any::<u8>(), 0..200),
        repeated in 1..20_usize,
        sizes in sizes(),
    ) {
        encoded_data_is_decoded(&formats, &data.repeat(repeated), sizes);
    }

    #[test]
    fn damaged_bodies_are_decoded_the_same_in_pieces_of_any_size(
        formats in formats(),
        data in prop::collection::vec(any::<u8>(), 0..200),
        (place, byte) in (any::<prop::sample::Index>(), any::<u8>()),
        sizes in sizes(),
    ) {
        let mut body = encoded(&formats, &data);
        *place.get_mut(&mut body) = byte;
        body_is_decoded_the_same_in_pieces_of_any_size(&formats, &body, sizes);
    }
}
