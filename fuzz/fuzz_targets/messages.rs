//! Checks that any request message is read as prost decodes it, or refused as prost
//! refuses it, without a panic or an endless loop.
//!
//! The first byte of the input tells which fields of a message the rest is. The target puts
//! the others around them, so that the fuzzer needn't find their lengths. The second byte
//! is the length of the first field. What remains is a field of the same kind, since fields
//! that appear twice are merged.

#![no_main]

use fetchd::internals::batch_property::message_is_read_as_prost_decodes_it;
use libfuzzer_sys::fuzz_target;

/// The key of a length-delimited field with this number.
const fn key(number: u8) -> u8 {
    number << 3 | 2
}

const REQUESTS: u8 = key(1);
const BATCH_OPTIONS: u8 = key(2);
const HEADERS: u8 = key(3);
const BATCH_TIMEOUT: u8 = key(4);
const REQUEST_OPTIONS: u8 = key(5);
const URL: &[u8] = b"\x0a\x0ehttp://a.test/";

fuzz_target!(|input: &[u8]| {
    let [kind, length, rest @ ..] = input else {
        return;
    };
    let fields = |key| {
        let (first, second) = rest.split_at(rest.len().min((*length).into()));
        match second {
            [] => field(key, first),
            second => [field(key, first), field(key, second)].concat(),
        }
    };
    let request = |rest: &[u8]| field(REQUESTS, &[URL, rest].concat());
    let message = match kind % 7 {
        0 => rest.to_vec(),
        1 => fields(REQUESTS),
        2 => request(rest),
        3 => request(&fields(HEADERS)),
        4 => request(&fields(REQUEST_OPTIONS)),
        5 => [request(b""), fields(BATCH_OPTIONS)].concat(),
        _ => [request(b""), fields(BATCH_TIMEOUT)].concat(),
    };
    message_is_read_as_prost_decodes_it(&message);
});

/// Encodes a length-delimited field.
fn field(key: u8, value: &[u8]) -> Vec<u8> {
    let mut field = vec![key];
    let mut length = value.len();
    while length >= 0x80 {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(value);
    field
}
