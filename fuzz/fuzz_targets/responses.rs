//! From the bytes of an origin, a sequence of responses over one kept
//! connection, to results: no panic, no end that does not come, no byte of one
//! response in another, and the same results wherever the bytes are cut.
//!
//! The first byte of the input says into pieces of how many bytes it is cut (0:
//! one piece), the bits of the second which responses answer HEAD. Two NUL bytes
//! end a response, so that inputs can be read and written as text.

#![no_main]

use fetchd::http1::property;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let [cut, heads, rest @ ..] = input else {
        return;
    };
    let cut = match cut {
        0 => usize::MAX,
        cut => usize::from(*cut),
    };
    let heads: Vec<_> = (0..8).map(|bit| heads >> bit & 1 == 1).collect();
    let mut responses = vec![Vec::new()];
    for byte in rest {
        if *byte == 0 && responses.last().is_some_and(|last| last.last() == Some(&0)) {
            responses.last_mut().map(Vec::pop);
            responses.push(Vec::new());
        } else if let Some(last) = responses.last_mut() {
            last.push(*byte);
        }
    }
    property::responses_are_read_the_same_however_they_are_cut(&responses, &heads, cut);
});
