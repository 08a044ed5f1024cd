//! Bodies that end with the connection (RFC 9112, 6.3).

use fetchd::proto::{HttpVersion, Reason};

use super::case::{Case, OK, SURPLUS, cat, ok};

const HEADS: &[(&str, &[u8])] = &[
    ("HTTP/1.1", b"HTTP/1.1 200 OK\r\n\r\n"),
    ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\n"),
    ("LF", b"HTTP/1.1 200 OK\n\n"),
    ("no reason", b"HTTP/1.1 200\r\n\r\n"),
    ("close", b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"),
    (
        "keep-alive in HTTP/1.1",
        b"HTTP/1.1 200 OK\r\nconnection: keep-alive\r\n\r\n",
    ),
    (
        "keep-alive in HTTP/1.0",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\n\r\n",
    ),
    (
        "a type",
        b"HTTP/1.0 200 OK\r\ncontent-type: text/plain\r\n\r\n",
    ),
    (
        "names like those of framing",
        b"HTTP/1.1 200 OK\r\nlength: 1\r\ncontent_length: 1\r\ntransfer_encoding: x\r\n\r\n",
    ),
    (
        "identity",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\n",
    ),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, head) in HEADS {
        cases.push(ok(*name, cat(&[head, b"to the end"]), "to the end"));
        cases.push(ok(format!("{name}, empty"), head.to_vec(), ""));
        for (rest, cut) in [(&b""[..], "a reset at once"), (b"to the", "a reset")] {
            let mut case = ok(format!("{name}, {cut}"), cat(&[head, rest]), rest).reset();
            case.expected.error = Some((Reason::Disconnected, ""));
            cases.push(case);
        }
    }
    let large: Vec<u8> = (0..150_000_u32).map(|index| (index % 251) as u8).collect();
    let head = cat(&[OK, b"\r\n"]);
    let not_found = b"HTTP/1.1 404 Not Found\r\n\r\nnothing here";
    let old = b"HTTP/1.0 200 OK\r\n\r\nold".to_vec();
    cases.extend([
        ok("150,000 bytes", cat(&[&head, &large]), large.clone()),
        ok("a body like a response", cat(&[&head, SURPLUS]), SURPLUS),
        ok(
            "a body like chunks",
            cat(&[&head, b"2\r\nhi\r\n0\r\n\r\n"]),
            "2\r\nhi\r\n0\r\n\r\n",
        ),
        ok(
            "a body of line ends",
            cat(&[&head, b"\r\n\r\n"]),
            "\r\n\r\n",
        ),
        ok("404", not_found.to_vec(), "nothing here").status(404),
        ok("a POST", cat(&[&head, b"made"]), "made").method("POST"),
        ok("the version", old, "old").version(HttpVersion::Http10),
    ]);
    cases
}
