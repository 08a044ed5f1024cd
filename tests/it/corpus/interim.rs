//! Interim responses (RFC 9110, 15.2), including the switch to another protocol.

use super::case::{Case, HI, OK, SURPLUS, cat, disconnected, ok, protocol};

const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";
const PROCESSING: &[u8] = b"HTTP/1.1 102 Processing\r\n\r\n";
const HINTS: &[u8] = b"HTTP/1.1 103 Early Hints\r\n\
    link: </style.css>; rel=preload; as=style\r\n\
    link: </app.js>; rel=preload; as=script\r\n\r\n";

/// Interim responses that we skip. Each of them is followed by a final response.
fn skipped() -> Vec<(&'static str, Vec<u8>)> {
    let many_lines = format!(
        "HTTP/1.1 103 Early Hints\r\n{}\r\n",
        "link: x\r\n".repeat(50)
    );
    vec![
        ("100", CONTINUE.to_vec()),
        ("102", PROCESSING.to_vec()),
        ("103 with links", HINTS.to_vec()),
        ("199", b"HTTP/1.1 199 Other\r\n\r\n".to_vec()),
        ("150", b"HTTP/1.1 150\r\n\r\n".to_vec()),
        ("100 of HTTP/1.0", b"HTTP/1.0 100 Continue\r\n\r\n".to_vec()),
        ("100 with LF", b"HTTP/1.1 100 Continue\n\n".to_vec()),
        ("100 twice", cat(&[CONTINUE, CONTINUE])),
        ("100, 102 and 103", cat(&[CONTINUE, PROCESSING, HINTS])),
        ("103 three times", HINTS.repeat(3)),
        ("102 twenty times", PROCESSING.repeat(20)),
        ("103 with 50 lines", many_lines.into_bytes()),
        (
            "100 with Content-Length: 0",
            b"HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n".to_vec(),
        ),
        (
            "103 with Connection: close",
            b"HTTP/1.1 103 Early Hints\r\nconnection: close\r\n\r\n".to_vec(),
        ),
        (
            "103 with a folded line",
            b"HTTP/1.1 103 Early Hints\r\nlink: a,\r\n b\r\n\r\n".to_vec(),
        ),
        (
            "103 with obs-text",
            b"HTTP/1.1 103 Early Hints\r\nx: \xff\r\n\r\n".to_vec(),
        ),
        ("100 after an empty line", cat(&[b"\r\n", CONTINUE])),
    ]
}

/// Interim responses that we reject.
const REFUSED: &[(&str, &[u8], &str)] = &[
    (
        "no status line after 100",
        b"HTTP/1.1 100 Continue\r\n\r\nhello\r\n\r\n",
        "status line",
    ),
    (
        "100 with a bad line",
        b"HTTP/1.1 100 Continue\r\nno colon\r\n\r\n",
        "header",
    ),
    (
        "100 with a bad name",
        b"HTTP/1.1 100 Continue\r\na b: c\r\n\r\n",
        "header",
    ),
    (
        "100 with a NUL",
        b"HTTP/1.1 100 Continue\r\na: \0\r\n\r\n",
        "header",
    ),
    (
        "101",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        "101",
    ),
    (
        "101 without a line",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "101",
    ),
    (
        "101 with a length",
        b"HTTP/1.1 101 Switching Protocols\r\ncontent-length: 0\r\n\r\n",
        "101",
    ),
    ("101 without a reason", b"HTTP/1.1 101\r\n\r\n", "101"),
    (
        "101 of HTTP/1.0",
        b"HTTP/1.0 101 Switching Protocols\r\n\r\n",
        "101",
    ),
    (
        "101 after 100",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols\r\n\r\n",
        "101",
    ),
    (
        "101 and a response",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "101",
    ),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, before) in skipped() {
        let answer = cat(&[&before, OK, b"x: final\r\n", HI]);
        let case = ok(name, answer, "hi").lacks("link").line("x", "final");
        cases.push(case.line_count(2).kept());
    }
    for (name, answer, fragment) in REFUSED {
        cases.push(protocol(*name, answer.to_vec(), fragment).kept());
    }
    let created = cat(&[CONTINUE, b"HTTP/1.1 201 Created\r\n", HI]);
    cases.push(
        ok("100 for a POST", created, "hi")
            .status(201)
            .method("POST")
            .kept(),
    );
    let head = cat(&[HINTS, OK, b"content-length: 5\r\n\r\n"]);
    cases.push(ok("103 for a HEAD", head, "").method("HEAD").kept());
    let empty = cat(&[CONTINUE, b"HTTP/1.1 204 No Content\r\n\r\n"]);
    cases.push(ok("100 and 204", empty, "").status(204).kept());
    let late = cat(&[OK, HI, CONTINUE, SURPLUS]);
    cases.push(ok("100 after the final response", late, "hi").kept());
    let until_close = cat(&[CONTINUE, OK, b"\r\nto the end"]);
    cases.push(ok(
        "100 and a body up to the end",
        until_close,
        "to the end",
    ));

    cases.push(disconnected("the end after 100", CONTINUE.to_vec()));
    cases.push(disconnected("a reset after 100", CONTINUE.to_vec()).reset());
    cases.push(disconnected("the end after two", cat(&[CONTINUE, HINTS])));
    let within = cat(&[HINTS, b"HTTP/1.1 200 OK\r\ncontent-"]);
    cases.push(disconnected("the end in the head after 103", within));
    cases.push(disconnected("the end within 103", HINTS[..60].to_vec()));
    cases
}
