//! Trailers of chunked bodies (RFC 9112, 7.1.2). We simply throw them away.

use fetchd::proto::Reason;

use super::case::{CHUNKED, Case, SURPLUS, cat, ok, protocol};

const BODY: &[u8] = b"5\r\nhello\r\n0\r\n";

const ACCEPTED: &[(&str, &[u8])] = &[
    ("none", b"\r\n"),
    ("one", b"x: 1\r\n\r\n"),
    ("several", b"x: 1\r\ny: 2\r\nx: 3\r\n\r\n"),
    ("an empty value", b"x:\r\n\r\n"),
    ("blanks", b"x: \t 1 \t\r\n\r\n"),
    ("obs-text", b"x: \xff\r\n\r\n"),
    ("folded", b"x: 1\r\n 2\r\n\r\n"),
    (
        "folded by a tab, twice",
        b"x: 1\r\n\t2\r\n\t3\r\ny: 4\r\n\r\n",
    ),
    ("a Content-Length", b"content-length: 1\r\n\r\n"),
    ("a Transfer-Encoding", b"transfer-encoding: gzip\r\n\r\n"),
    ("a Content-Encoding", b"content-encoding: gzip\r\n\r\n"),
    ("a Connection: close", b"connection: close\r\n\r\n"),
    ("a Set-Cookie", b"set-cookie: a=b\r\n\r\n"),
    (
        "a digest",
        b"digest: sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\r\n\r\n",
    ),
];

const REFUSED: &[(&str, &[u8])] = &[
    ("LF", b"x: 1\n\r\n"),
    ("LF twice", b"x: 1\n\n"),
    ("LF after the second", b"x: 1\r\ny: 2\n\r\n"),
    ("LF as the empty line", b"x: 1\r\n\n"),
    ("LF at once", b"\n"),
    ("LF in a fold", b"x: 1\n 2\r\n\r\n"),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, trailers) in ACCEPTED {
        let answer = cat(&[CHUNKED, BODY, trailers]);
        cases.push(ok(*name, answer, "hello").line_count(1).lacks("x").kept());
    }
    for (name, trailers) in REFUSED {
        let answer = cat(&[CHUNKED, BODY, trailers]);
        cases.push(protocol(*name, answer, "trailer").after("hello").kept());
    }
    let long = |length: usize| cat(&[CHUNKED, BODY, b"x: ", &vec![b'v'; length], b"\r\n\r\n"]);
    let many = |count: usize| cat(&[CHUNKED, BODY, &b"x: 1234567890\r\n".repeat(count), b"\r\n"]);
    let surplus = cat(&[CHUNKED, BODY, b"x: 1\r\n\r\n", SURPLUS]);
    cases.extend([
        ok("15 KiB in a line", long(15 << 10), "hello").kept(),
        ok("120 lines", many(120), "hello").kept(),
        ok("a response after them", surplus, "hello").kept(),
        ok(
            "the end after them",
            cat(&[CHUNKED, BODY, b"x: 1\r\n\r\n"]),
            "hello",
        ),
        protocol("20 KiB in a line", long(20 << 10), "trailer")
            .after("hello")
            .kept(),
        protocol("20 KiB in many lines", many(1400), "trailer")
            .after("hello")
            .kept(),
        protocol(
            "a line without end",
            cat(&[CHUNKED, BODY, b"x: "]),
            "trailer",
        )
        .after("hello")
        .endless(b"vvvv"),
        protocol("lines without end", cat(&[CHUNKED, BODY]), "trailer")
            .after("hello")
            .endless(b"x: 1\r\n"),
    ]);
    for (name, part) in [
        ("in a name", &b"x"[..]),
        ("in a value", b"x: 1"),
        ("in a line end", b"x: 1\r"),
        ("after a trailer", b"x: 1\r\n"),
        ("in the empty line", b"x: 1\r\n\r"),
    ] {
        let short = |name: String| {
            let mut case = ok(name, cat(&[CHUNKED, BODY, part]), "hello");
            case.expected.error = Some((Reason::Disconnected, ""));
            case
        };
        cases.push(short(format!("the end {name}")));
        cases.push(short(format!("a reset {name}")).reset());
    }
    cases
}
