//! Connection options (RFC 9112, 9.3). These must not make any difference to the result.

use super::case::{Case, OK, SURPLUS, cat, ok};

const LINES: &[(&str, &[u8])] = &[
    ("nothing", b""),
    ("close", b"connection: close\r\n"),
    ("close in mixed case", b"Connection: CLOSE\r\n"),
    ("keep-alive", b"connection: keep-alive\r\n"),
    ("keep-alive in mixed case", b"Connection: Keep-Alive\r\n"),
    ("both", b"connection: keep-alive, close\r\n"),
    (
        "both in two lines",
        b"connection: close\r\nconnection: keep-alive\r\n",
    ),
    ("an empty list", b"connection: , ,\r\n"),
    ("an empty line", b"connection:\r\n"),
    ("a name", b"connection: x-hop\r\nx-hop: 1\r\n"),
    ("a quoted string", b"connection: \"close\"\r\n"),
    ("obs-text", b"connection: \xff\r\n"),
    (
        "an offer to upgrade",
        b"connection: upgrade\r\nupgrade: h2c\r\n",
    ),
    (
        "a limit of keep-alive",
        b"connection: keep-alive\r\nkeep-alive: timeout=5, max=100\r\n",
    ),
    ("an invalid keep-alive", b"keep-alive: soon\r\n"),
    ("Proxy-Connection: close", b"proxy-connection: close\r\n"),
    (
        "Proxy-Connection: keep-alive",
        b"proxy-connection: keep-alive\r\n",
    ),
    ("the name of the length", b"connection: content-length\r\n"),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let old: &[u8] = b"HTTP/1.0 200 OK\r\n";
    for (version, line) in [("HTTP/1.1", OK), ("HTTP/1.0", old)] {
        for (name, lines) in LINES {
            let answer = cat(&[line, lines, b"content-length: 5\r\n\r\nhello"]);
            let case = ok(format!("{version}, {name}"), answer, "hello");
            cases.push(case.line("content-length", "5").kept());
        }
    }
    let closed = cat(&[OK, b"connection: close\r\ncontent-length: 5\r\n\r\nhello"]);
    let chunked = b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let timed_out =
        b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    cases.extend([
        ok("close and the end", closed.clone(), "hello"),
        ok("close and a reset", closed.clone(), "hello").reset(),
        ok(
            "close and a response after it",
            cat(&[&closed, SURPLUS]),
            "hello",
        )
        .kept(),
        ok(
            "close and chunks",
            cat(&[OK, b"connection: close\r\n", chunked]),
            "hello",
        )
        .kept(),
        ok("a reset after chunks", cat(&[OK, chunked]), "hello").reset(),
        ok(
            "a timeout of the connection after it",
            cat(&[OK, chunked, timed_out]),
            "hello",
        )
        .kept(),
        ok(
            "keep-alive and the end",
            cat(&[OK, b"connection: keep-alive\r\n", chunked]),
            "hello",
        ),
    ]);
    cases
}
