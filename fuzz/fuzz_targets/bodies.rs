//! Checks that any encoded body is decoded the same in pieces of any size, without a panic
//! or an endless loop.

#![no_main]

use fetchd::internals::decode_property::{
    Format, Sizes, body_is_decoded_the_same_in_pieces_of_any_size, encoded, encoded_data_is_decoded,
};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};

#[derive(Arbitrary, Debug)]
struct Body<'a> {
    inner: Coding,
    outer: Option<Coding>,
    piece: u8,
    buffer: u8,
    origin: Origin,
    bytes: &'a [u8],
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Coding {
    Gzip,
    Zlib,
    Deflate,
}

/// What an origin makes of the bytes.
#[derive(Arbitrary, Debug)]
enum Origin {
    SendsThemAsTheyAre,
    Encodes,
    /// Encodes the bytes, and changes one of the result.
    EncodesAndDamages {
        place: u16,
        change: u8,
    },
}

fuzz_target!(|body: Body<'_>| {
    let codings = [Some(body.inner), body.outer].into_iter().flatten();
    let formats: Vec<_> = codings.map(Format::from).collect();
    let sizes = Sizes {
        piece: 1 + usize::from(body.piece),
        buffer: 1 + usize::from(body.buffer),
    };
    let bytes = match body.origin {
        Origin::SendsThemAsTheyAre => body.bytes.to_vec(),
        Origin::Encodes => return encoded_data_is_decoded(&formats, body.bytes, sizes),
        Origin::EncodesAndDamages { place, change } => {
            let mut bytes = encoded(&formats, body.bytes);
            let place = usize::from(place) % bytes.len();
            bytes[place] ^= change;
            bytes
        }
    };
    body_is_decoded_the_same_in_pieces_of_any_size(&formats, &bytes, sizes);
});

impl From<Coding> for Format {
    fn from(coding: Coding) -> Self {
        match coding {
            Coding::Gzip => Self::Gzip,
            Coding::Zlib => Self::Zlib,
            Coding::Deflate => Self::Deflate,
        }
    }
}
