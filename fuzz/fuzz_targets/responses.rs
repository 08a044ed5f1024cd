//! Checks that a sequence of responses over one connection is read the same in pieces of
//! any size, without a panic or an endless loop, and that no byte of one response appears
//! in another.
//!
//! The first byte of the input is the size of the pieces (0: one piece). The bits of the
//! second byte tell which responses answer a HEAD request. Two NUL bytes end a response,
//! so that inputs can be read and written as text.

#![no_main]

use fetchd::internals::http1_property::responses_are_read_the_same_in_pieces_of_any_size;
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
    responses_are_read_the_same_in_pieces_of_any_size(&responses, &heads, cut);
});
