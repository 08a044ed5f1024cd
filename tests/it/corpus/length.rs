//! Bodies with a Content-Length (RFC 9112, 6.2 and 6.3).

use fetchd::proto::Reason;

use super::case::{Case, OK, SURPLUS, cat, ok, protocol};

/// Header lines that amount to a length of 5. A body of that size follows.
const ACCEPTED: &[(&str, &[u8])] = &[
    ("plain", b"Content-Length: 5\r\n"),
    ("lower case", b"content-length: 5\r\n"),
    ("upper case", b"CONTENT-LENGTH: 5\r\n"),
    ("no space", b"content-length:5\r\n"),
    ("blanks around", b"content-length: \t 5 \t \r\n"),
    ("a space before the colon", b"content-length : 5\r\n"),
    ("a tab before the colon", b"content-length\t: 5\r\n"),
    ("LF", b"content-length: 5\n"),
    ("folded", b"content-length:\r\n 5\r\n"),
    ("folded at the end", b"content-length: 5\r\n \r\n"),
    ("a leading zero", b"content-length: 05\r\n"),
    (
        "30 digits, of which 29 are zeros",
        b"content-length: 000000000000000000000000000005\r\n",
    ),
    (
        "the same twice",
        b"content-length: 5\r\ncontent-length: 5\r\n",
    ),
    (
        "the same three times",
        b"content-length: 5\r\nx: y\r\nContent-Length: 5\r\nCONTENT-LENGTH:5\r\n",
    ),
    ("a list", b"content-length: 5, 5\r\n"),
    ("a list without a space", b"content-length: 5,5\r\n"),
    ("a list with blanks", b"content-length: 5 \t,\t 5\r\n"),
    ("a list of three", b"content-length: 5, 5, 5\r\n"),
    ("a folded list", b"content-length: 5,\r\n 5\r\n"),
    (
        "a list and a line",
        b"content-length: 5, 5\r\ncontent-length: 5\r\n",
    ),
    (
        "identity",
        b"transfer-encoding: identity\r\ncontent-length: 5\r\n",
    ),
    (
        "an empty Transfer-Encoding",
        b"transfer-encoding:\r\ncontent-length: 5\r\n",
    ),
    (
        "a range",
        b"content-range: bytes 0-4/10\r\ncontent-length: 5\r\n",
    ),
    ("close", b"connection: close\r\ncontent-length: 5\r\n"),
    (
        "names alike",
        b"content-length-x: 9\r\nx-content-length: 9\r\ncontent-length: 5\r\n",
    ),
];

/// Header lines that we reject, because there's either no valid length in them or more
/// than one.
const REFUSED: &[(&str, &[u8])] = &[
    ("two lengths", b"content-length: 5\r\ncontent-length: 6\r\n"),
    (
        "two lengths, the smaller last",
        b"content-length: 5\r\ncontent-length: 4\r\n",
    ),
    (
        "two lengths apart",
        b"content-length: 5\r\nx: y\r\nCONTENT-LENGTH: 0\r\n",
    ),
    (
        "a third length",
        b"content-length: 5\r\ncontent-length: 5\r\ncontent-length: 6\r\n",
    ),
    ("a list of two lengths", b"content-length: 5, 6\r\n"),
    (
        "a list and another length",
        b"content-length: 5, 5\r\ncontent-length: 6\r\n",
    ),
    (
        "a length with a space before its colon and another",
        b"content-length : 5\r\ncontent-length: 6\r\n",
    ),
    (
        "a length and a word",
        b"content-length: 5\r\ncontent-length: five\r\n",
    ),
    (
        "a length and an empty line",
        b"content-length: 5\r\ncontent-length:\r\n",
    ),
    ("a plus sign", b"content-length: +5\r\n"),
    ("a minus sign", b"content-length: -1\r\n"),
    ("minus zero", b"content-length: -0\r\n"),
    ("hexadecimal", b"content-length: 0x5\r\n"),
    ("hexadecimal digits", b"content-length: a\r\n"),
    ("two numbers", b"content-length: 5 5\r\n"),
    ("two numbers and a tab", b"content-length: 5\t5\r\n"),
    ("two numbers by a fold", b"content-length: 5\r\n 5\r\n"),
    ("a semicolon", b"content-length: 5;\r\n"),
    ("a list with semicolons", b"content-length: 5; 5\r\n"),
    ("a parameter", b"content-length: 5;q=1\r\n"),
    ("empty", b"content-length:\r\n"),
    ("blanks", b"content-length: \t \r\n"),
    ("a comma alone", b"content-length: ,\r\n"),
    ("a comma first", b"content-length: ,5\r\n"),
    ("a comma last", b"content-length: 5,\r\n"),
    ("a word", b"content-length: five\r\n"),
    ("a unit", b"content-length: 5 bytes\r\n"),
    ("a unit at the number", b"content-length: 5b\r\n"),
    ("a fraction", b"content-length: 5.0\r\n"),
    ("an exponent", b"content-length: 5e0\r\n"),
    ("an underscore", b"content-length: 5_000\r\n"),
    ("a quoted number", b"content-length: \"5\"\r\n"),
    ("a comment", b"content-length: 5 (five)\r\n"),
    (
        "larger than 64 bits",
        b"content-length: 18446744073709551616\r\n",
    ),
    (
        "larger than 64 bits by a digit",
        b"content-length: 100000000000000000005\r\n",
    ),
    (
        "5 if cut to 64 bits",
        b"content-length: 18446744073709551621\r\n",
    ),
    (
        "40 digits",
        b"content-length: 5555555555555555555555555555555555555555\r\n",
    ),
    ("a byte of obs-text", b"content-length: \xff\r\n"),
    ("obs-text after the number", b"content-length: 5\xa0\r\n"),
    (
        "digits of another script",
        "content-length: ５\r\n".as_bytes(),
    ),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, lines) in ACCEPTED {
        cases.push(ok(*name, cat(&[OK, lines, b"\r\nhello"]), "hello").kept());
    }
    for (name, lines) in REFUSED {
        let answer = cat(&[OK, lines, b"\r\nhello"]);
        cases.push(protocol(*name, answer, "Content-Length").kept());
    }

    let of = |length: usize| cat(&[OK, format!("content-length: {length}\r\n\r\n").as_bytes()]);
    let large: Vec<u8> = (0..150_000_u32).map(|index| (index % 251) as u8).collect();
    let binary: Vec<u8> = (0..=255).collect();
    let old = b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n";
    cases.extend([
        ok("an empty body", of(0), "")
            .line("content-length", "0")
            .kept(),
        ok(
            "an empty body of three zeros",
            cat(&[OK, b"content-length: 000\r\n\r\n"]),
            "",
        )
        .kept(),
        ok("an empty body and the end", of(0), ""),
        ok("one byte", cat(&[&of(1), b"x"]), "x").kept(),
        ok("a body and the end", cat(&[&of(5), b"hello"]), "hello"),
        ok("HTTP/1.0", cat(&[old, b"hello"]), "hello").kept(),
        ok("a POST", cat(&[&of(5), b"hello"]), "hello")
            .method("POST")
            .kept(),
        ok("150,000 bytes", cat(&[&of(150_000), &large]), large.clone()).kept(),
        ok("every byte", cat(&[&of(256), &binary]), binary).kept(),
        ok(
            "a body like a head",
            cat(&[&of(SURPLUS.len()), SURPLUS]),
            SURPLUS,
        )
        .kept(),
        ok(
            "a body like chunks",
            cat(&[&of(10), b"5\r\nhello\r\n"]),
            "5\r\nhello\r\n",
        )
        .kept(),
        ok("a byte after the end", cat(&[&of(5), b"hello!"]), "hello").kept(),
        ok(
            "a line end after the end",
            cat(&[&of(5), b"hello\r\n"]),
            "hello",
        )
        .kept(),
        ok(
            "a response after the end",
            cat(&[&of(5), b"hello", SURPLUS]),
            "hello",
        )
        .kept(),
        ok(
            "a response after an empty body",
            cat(&[&of(0), SURPLUS]),
            "",
        )
        .kept(),
        ok(
            "many bytes after the end",
            cat(&[&of(5), b"hello", &large]),
            "hello",
        )
        .kept(),
        ok(
            "bytes after the end, and the end",
            cat(&[&of(5), b"hello!"]),
            "hello",
        ),
    ]);
    for (name, length, body) in [
        ("without a byte", 5, &b""[..]),
        ("after a byte", 5, b"h"),
        ("before the last byte", 5, b"hell"),
        ("in 150,000 bytes", 150_000, &large[..20_000]),
        ("in 9 MiB", 9 << 20, b"hello"),
    ] {
        let short = |name: String| {
            let mut case = ok(name, cat(&[&of(length), body]), body);
            case.expected.error = Some((Reason::Disconnected, ""));
            case
        };
        cases.push(short(format!("the end {name}")));
        cases.push(short(format!("a reset {name}")).reset());
    }
    cases
}
