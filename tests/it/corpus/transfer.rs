//! Transfer-Encoding (RFC 9112, 6.1).

use super::case::{Case, OK, SURPLUS, cat, ok, protocol};

/// "hello", split into chunks.
const CHUNKS: &[u8] = b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

/// Header lines that make the body chunked. They're followed by "hello" in chunks.
const CHUNKED: &[(&str, &[u8])] = &[
    ("plain", b"Transfer-Encoding: chunked\r\n"),
    ("lower case", b"transfer-encoding: chunked\r\n"),
    ("upper case", b"TRANSFER-ENCODING: CHUNKED\r\n"),
    ("mixed case", b"Transfer-Encoding: ChunKed\r\n"),
    ("no space", b"transfer-encoding:chunked\r\n"),
    ("blanks around", b"transfer-encoding: \t chunked \t \r\n"),
    (
        "a space before the colon",
        b"transfer-encoding : chunked\r\n",
    ),
    (
        "a tab before the colon",
        b"transfer-encoding\t: chunked\r\n",
    ),
    ("LF", b"transfer-encoding: chunked\n"),
    ("folded", b"transfer-encoding:\r\n chunked\r\n"),
    ("folded by a tab and LF", b"transfer-encoding:\n\tchunked\n"),
    ("folded at the end", b"transfer-encoding: chunked\r\n \r\n"),
    (
        "a length before",
        b"content-length: 3\r\ntransfer-encoding: chunked\r\n",
    ),
    (
        "a length after",
        b"transfer-encoding: chunked\r\ncontent-length: 3\r\n",
    ),
    (
        "a length of 0",
        b"content-length: 0\r\ntransfer-encoding: chunked\r\n",
    ),
    (
        "a length that is larger",
        b"content-length: 1000\r\ntransfer-encoding: chunked\r\n",
    ),
    (
        "a length, and a space before the colon",
        b"content-length: 3\r\ntransfer-encoding : chunked\r\n",
    ),
    (
        "a length, and folded",
        b"content-length: 3\r\ntransfer-encoding:\r\n chunked\r\n",
    ),
    (
        "an empty element first",
        b"transfer-encoding: , chunked\r\n",
    ),
    ("an empty element last", b"transfer-encoding: chunked,\r\n"),
    ("empty elements", b"transfer-encoding: ,, , chunked\r\n"),
    (
        "identity first",
        b"transfer-encoding: identity, chunked\r\n",
    ),
    (
        "identity first, in upper case",
        b"transfer-encoding: IDENTITY,Chunked\r\n",
    ),
    (
        "identity in a line before",
        b"transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n",
    ),
    (
        "an empty line before",
        b"transfer-encoding:\r\ntransfer-encoding: chunked\r\n",
    ),
    (
        "an empty line after",
        b"transfer-encoding: chunked\r\ntransfer-encoding:\r\n",
    ),
    (
        "a list over a fold",
        b"transfer-encoding: identity,\r\n chunked\r\n",
    ),
    (
        "close",
        b"connection: close\r\ntransfer-encoding: chunked\r\n",
    ),
    ("TE", b"te: gzip\r\ntransfer-encoding: chunked\r\n"),
    ("Trailer", b"trailer: x\r\ntransfer-encoding: chunked\r\n"),
];

/// Header lines that we treat as if there were no Transfer-Encoding.
const ABSENT: &[(&str, &[u8])] = &[
    ("identity", b"transfer-encoding: identity\r\n"),
    ("identity in upper case", b"Transfer-Encoding: IDENTITY\r\n"),
    ("nothing", b"transfer-encoding:\r\n"),
    ("blanks", b"transfer-encoding: \t \r\n"),
    ("a folded nothing", b"transfer-encoding:\r\n \r\n"),
    (
        "identity twice",
        b"transfer-encoding: identity\r\ntransfer-encoding: identity\r\n",
    ),
];

/// Header lines that we reject. They're followed by "hello" in chunks.
const REFUSED: &[(&str, &[u8])] = &[
    ("gzip", b"transfer-encoding: gzip\r\n"),
    ("gzip and chunked", b"transfer-encoding: gzip, chunked\r\n"),
    (
        "gzip and chunked in two lines",
        b"transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n",
    ),
    ("chunked and gzip", b"transfer-encoding: chunked, gzip\r\n"),
    (
        "chunked and gzip in two lines",
        b"transfer-encoding: chunked\r\ntransfer-encoding: gzip\r\n",
    ),
    ("deflate", b"transfer-encoding: deflate\r\n"),
    ("chunked twice", b"transfer-encoding: chunked, chunked\r\n"),
    (
        "chunked in two lines",
        b"transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    ),
    (
        "chunked twice by a fold",
        b"transfer-encoding: chunked,\r\n chunked\r\n",
    ),
    ("chunked and a word", b"transfer-encoding: chunked x\r\n"),
    (
        "chunked twice without a comma",
        b"transfer-encoding: chunked chunked\r\n",
    ),
    (
        "chunked by a fold without a comma",
        b"transfer-encoding: identity\r\n chunked\r\n",
    ),
    ("a fold inside", b"transfer-encoding: chun\r\n ked\r\n"),
    ("a letter before", b"transfer-encoding: xchunked\r\n"),
    ("a letter after", b"transfer-encoding: chunkedx\r\n"),
    ("a letter less", b"transfer-encoding: chunke\r\n"),
    ("quoted", b"transfer-encoding: \"chunked\"\r\n"),
    ("single quotes", b"transfer-encoding: 'chunked'\r\n"),
    ("a parameter", b"transfer-encoding: chunked;q=1\r\n"),
    (
        "a parameter after a space",
        b"transfer-encoding: chunked ; q=1\r\n",
    ),
    ("a semicolon", b"transfer-encoding: chunked;\r\n"),
    ("a semicolon before", b"transfer-encoding: ;chunked\r\n"),
    ("a colon more", b"transfer-encoding:: chunked\r\n"),
    ("obs-text after", b"transfer-encoding: chunked\xa0\r\n"),
    ("obs-text before", b"transfer-encoding: \xa0chunked\r\n"),
    ("0x85 after", b"transfer-encoding: chunked\x85\r\n"),
    (
        "a letter of another script",
        "transfer-encoding: \u{441}hunked\r\n".as_bytes(),
    ),
    (
        "the Kelvin sign",
        "transfer-encoding: chun\u{212a}ed\r\n".as_bytes(),
    ),
    ("an unknown coding", b"transfer-encoding: unknown\r\n"),
    (
        "an unknown coding and a length",
        b"transfer-encoding: unknown\r\ncontent-length: 5\r\n",
    ),
    ("a length as a coding", b"transfer-encoding: 5\r\n"),
];

/// Header lines that we reject because there's a control character in them.
const CONTROLS: &[(&str, &[u8])] = &[
    (
        "a vertical tab before",
        b"transfer-encoding: \x0bchunked\r\n",
    ),
    (
        "a vertical tab after",
        b"transfer-encoding: chunked\x0b\r\n",
    ),
    ("a form feed before", b"transfer-encoding: \x0cchunked\r\n"),
    ("a NUL after", b"transfer-encoding: chunked\0\r\n"),
    ("a bare CR after", b"transfer-encoding: chunked\r\r\n"),
    ("a bare CR before", b"transfer-encoding:\rchunked\r\n"),
    (
        "a bare CR before the line",
        b"x: y\rtransfer-encoding: chunked\r\n",
    ),
    ("a DEL after", b"transfer-encoding: chunked\x7f\r\n"),
    (
        "a vertical tab before the colon",
        b"transfer-encoding\x0b: chunked\r\n",
    ),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, lines) in CHUNKED {
        let answer = cat(&[OK, lines, b"\r\n", CHUNKS]);
        cases.push(ok(format!("chunked: {name}"), answer, "hello").kept());
    }
    for (name, lines) in ABSENT {
        let with_length = cat(&[OK, lines, b"content-length: 5\r\n\r\nhello", SURPLUS]);
        cases.push(ok(format!("{name}, and a length"), with_length, "hello").kept());
        let without = cat(&[OK, lines, b"\r\nhello, to the end"]);
        cases.push(ok(
            format!("{name}, and no length"),
            without,
            "hello, to the end",
        ));
    }
    for (table, fragment) in [(REFUSED, "Transfer-Encoding"), (CONTROLS, "header")] {
        for (name, lines) in table {
            let answer = cat(&[OK, lines, b"\r\n", CHUNKS]);
            cases.push(protocol(*name, answer, fragment).kept());
        }
    }
    let old = b"HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    cases.push(ok("chunked: HTTP/1.0", cat(&[old, CHUNKS]), "hello").kept());
    cases.push(ok(
        "chunked: HTTP/1.0 and the end",
        cat(&[old, CHUNKS]),
        "hello",
    ));
    let posted = cat(&[OK, b"transfer-encoding: chunked\r\n\r\n", CHUNKS]);
    cases.push(ok("chunked: a POST", posted, "hello").method("POST").kept());
    let unknown = cat(&[OK, b"transfer-encoding: gzip\r\n\r\nto the end"]);
    cases.push(protocol("gzip up to the end", unknown, "Transfer-Encoding"));
    cases
}
