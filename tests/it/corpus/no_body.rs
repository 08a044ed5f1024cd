//! Responses that never have a body, no matter what their headers say (RFC 9112, 6.3).

use super::case::{Case, SURPLUS, cat, ok};

/// Framing headers that are valid.
const FRAMINGS: &[(&str, &[u8])] = &[
    ("nothing", b""),
    ("Content-Length: 0", b"content-length: 0\r\n"),
    ("Content-Length: 5", b"content-length: 5\r\n"),
    (
        "a Content-Length of 1 TiB",
        b"content-length: 1099511627776\r\n",
    ),
    ("a list of lengths", b"content-length: 5, 5\r\n"),
    ("chunked", b"transfer-encoding: chunked\r\n"),
    (
        "chunked and a length",
        b"transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ),
    (
        "chunked and close",
        b"transfer-encoding: chunked\r\nconnection: close\r\n",
    ),
    ("gzip", b"content-encoding: gzip\r\ncontent-length: 20\r\n"),
    ("keep-alive", b"connection: keep-alive\r\n"),
];

/// Framing headers that we'd reject if the response had a body.
const INVALID: &[(&str, &[u8])] = &[
    ("an invalid length", b"content-length: five\r\n"),
    ("two lengths", b"content-length: 5\r\ncontent-length: 6\r\n"),
    ("an unknown transfer coding", b"transfer-encoding: gzip\r\n"),
];

pub(crate) fn cases() -> Vec<Case> {
    let kinds: [(&str, &'static str, u16, &[u8]); 3] = [
        ("HEAD", "HEAD", 200, b"HTTP/1.1 200 OK\r\n"),
        ("204", "GET", 204, b"HTTP/1.1 204 No Content\r\n"),
        ("304", "GET", 304, b"HTTP/1.1 304 Not Modified\r\n"),
    ];
    let mut cases = Vec::new();
    for (kind, method, status, line) in kinds {
        let mut push = |name: &str, rest: &[u8]| {
            let case = ok(format!("{kind} with {name}"), cat(&[line, rest]), "");
            cases.push(case.status(status).method(method).kept());
        };
        for (name, framing) in FRAMINGS.iter().chain(INVALID) {
            push(name, &cat(&[framing, b"\r\n"]));
        }
        push("a body", b"content-length: 5\r\n\r\nhello");
        push(
            "chunks",
            b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        );
        push(
            "a response after it",
            &cat(&[b"content-length: 39\r\n\r\n", SURPLUS]),
        );
    }

    let length = |answer: &[u8]| ok("", answer.to_vec(), "").line("content-length", "5");
    let named = |name: &str, case: Case| Case {
        name: name.to_owned(),
        ..case
    };
    let not_found = b"HTTP/1.1 404 Not Found\r\ncontent-length: 5\r\n\r\n";
    let old = b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\n";
    let moved = b"HTTP/1.1 301 Moved\r\nlocation: /x\r\ncontent-length: 5\r\n\r\n";
    let modified = b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\ncontent-length: 5\r\n\r\n";
    let encoded = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 5\r\n\r\n";
    let posted = b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\n";
    cases.extend([
        named(
            "HEAD and 404",
            length(not_found).status(404).method("HEAD").kept(),
        ),
        named("HEAD and HTTP/1.0", length(old).method("HEAD").kept()),
        named("HEAD and the end", length(old).method("HEAD")),
        named(
            "HEAD and a redirect",
            length(moved).status(301).method("HEAD").kept(),
        ),
        named(
            "304 keeps its length",
            length(modified).status(304).line("etag", "\"a\"").kept(),
        ),
        named(
            "HEAD keeps its coding",
            length(encoded)
                .method("HEAD")
                .line("content-encoding", "gzip")
                .kept(),
        ),
        named(
            "POST and 204",
            length(posted).status(204).method("POST").kept(),
        ),
        ok(
            "205 without a body",
            b"HTTP/1.1 205 Reset\r\ncontent-length: 0\r\n\r\n".to_vec(),
            "",
        )
        .status(205)
        .kept(),
    ]);
    cases
}
