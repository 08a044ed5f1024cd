//! Limits on response heads (100 lines and 64 KiB), as well as truncated heads.

use super::case::{Case, HI, OK, cat, disconnected, ok, protocol};

const KIB: usize = 1 << 10;

/// Returns `count` header lines, each with `length` bytes.
fn lines(count: usize, length: usize) -> Vec<u8> {
    let value = length - "x-000: \r\n".len();
    let lines = (0..count).map(|number| format!("x-{number:03}: {}\r\n", "v".repeat(value)));
    lines.collect::<String>().into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    let long_value = |length: usize| cat(&[b"x: ", &vec![b'v'; length], b"\r\n"]);
    let long_name = |length: usize| cat(&[&vec![b'n'; length], b": v\r\n"]);
    let reason = |length: usize| cat(&[b"HTTP/1.1 200 ", &vec![b'r'; length], b"\r\n"]);
    let folded = |count: usize| cat(&[b"x: v\r\n", &b" v\r\n".repeat(count)]);
    let mut cases = vec![
        ok("100 lines", cat(&[OK, &lines(99, 20), HI]), "hi")
            .line_count(100)
            .kept(),
        ok("99 lines", cat(&[OK, &lines(98, 20), HI]), "hi")
            .line_count(99)
            .kept(),
        ok(
            "100 lines of one name",
            cat(&[OK, &b"x: y\r\n".repeat(99), HI]),
            "hi",
        )
        .line_count(100)
        .kept(),
        ok(
            "100 lines with LF",
            cat(&[OK, &b"x: y\n".repeat(99), HI]),
            "hi",
        )
        .line_count(100)
        .kept(),
        protocol("101 lines", cat(&[OK, &lines(100, 20), HI]), "100").kept(),
        protocol(
            "101 lines of one name",
            cat(&[OK, &b"x: y\r\n".repeat(100), HI]),
            "100",
        )
        .kept(),
        protocol("1000 lines", cat(&[OK, &lines(1000, 20), HI]), "100").kept(),
        // It may hit either of the two limits first.
        protocol("lines without end", OK.to_vec(), "").endless(b"x: y\r\n"),
        ok(
            "60 KiB in one line",
            cat(&[OK, &long_value(60 * KIB), HI]),
            "hi",
        )
        .line_count(2)
        .kept(),
        ok("60 KiB in 60 lines", cat(&[OK, &lines(60, KIB), HI]), "hi")
            .line_count(61)
            .kept(),
        ok("60 KiB in 99 lines", cat(&[OK, &lines(99, 620), HI]), "hi")
            .line_count(100)
            .kept(),
        ok(
            "a value of 8 KiB",
            cat(&[OK, &long_value(8 * KIB), HI]),
            "hi",
        )
        .line("x", vec![b'v'; 8 * KIB])
        .kept(),
        ok("a name of 8 KiB", cat(&[OK, &long_name(8 * KIB), HI]), "hi")
            .line_count(2)
            .kept(),
        ok("a reason of 8 KiB", cat(&[&reason(8 * KIB), HI]), "hi").kept(),
        ok("folded 500 times", cat(&[OK, &folded(500), HI]), "hi")
            .line_count(2)
            .kept(),
        protocol(
            "70 KiB in one line",
            cat(&[OK, &long_value(70 * KIB), HI]),
            "65536",
        )
        .kept(),
        protocol(
            "70 KiB in 70 lines",
            cat(&[OK, &lines(70, KIB), HI]),
            "65536",
        )
        .kept(),
        protocol(
            "70 KiB of folds",
            cat(&[OK, &folded(18 * KIB), HI]),
            "65536",
        )
        .kept(),
        protocol("a reason of 70 KiB", cat(&[&reason(70 * KIB), HI]), "65536").kept(),
        protocol(
            "1 MiB in one line",
            cat(&[OK, &long_value(1 << 20), HI]),
            "65536",
        )
        .kept(),
        protocol("a value without end", cat(&[OK, b"x: "]), "65536").endless(b"vvvv"),
        protocol("a name without end", OK.to_vec(), "65536").endless(b"nnnn"),
        protocol("a reason without end", b"HTTP/1.1 200 ".to_vec(), "65536").endless(b"rrrr"),
        protocol("folds without end", cat(&[OK, b"x: v\r\n"]), "65536").endless(b" v\r\n"),
    ];
    // The body may be larger than the head's limit.
    let body = vec![b'b'; 200 * KIB];
    let large = cat(&[
        OK,
        &lines(50, KIB),
        b"content-length: 204800\r\n\r\n",
        &body,
    ]);
    cases.push(ok("50 KiB of head and 200 KiB of body", large, body).kept());
    cases.extend(cut_short());
    cases
}

/// Returns truncated heads. Each of them is cut off both by a FIN and by a reset.
fn cut_short() -> Vec<Case> {
    let parts: &[(&str, &[u8])] = &[
        ("at once", b""),
        ("after an empty line", b"\r\n"),
        ("in the name of the protocol", b"HT"),
        ("in the version", b"HTTP/1."),
        ("in the status", b"HTTP/1.1 20"),
        ("in the reason", b"HTTP/1.1 200 O"),
        ("in the line end", b"HTTP/1.1 200 OK\r"),
        ("after the status line", b"HTTP/1.1 200 OK\r\n"),
        ("in a name", b"HTTP/1.1 200 OK\r\nconten"),
        ("after a colon", b"HTTP/1.1 200 OK\r\ncontent-length:"),
        ("in a value", b"HTTP/1.1 200 OK\r\ncontent-length: 1"),
        (
            "in the line end of a line",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r",
        ),
        ("after a line", b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n"),
        (
            "in the empty line",
            b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r",
        ),
        ("in a fold", b"HTTP/1.1 200 OK\r\nx: a\r\n "),
        ("after LF", b"HTTP/1.1 200 OK\ncontent-length: 0\n"),
    ];
    let both = parts.iter().flat_map(|(place, part)| {
        [
            disconnected(format!("the end {place}"), part.to_vec()),
            disconnected(format!("a reset {place}"), part.to_vec()).reset(),
        ]
    });
    both.collect()
}
