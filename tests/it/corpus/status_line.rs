//! The status line (RFC 9112, 4).

use fetchd::proto::HttpVersion;

use super::case::{Case, HI, cat, ok, protocol};

/// Status lines that we accept, and the resulting status. Each one is followed by a body
/// of two bytes.
const ACCEPTED: &[(&str, &[u8], u16)] = &[
    ("plain", b"HTTP/1.1 200 OK\r\n", 200),
    ("no reason", b"HTTP/1.1 200 \r\n", 200),
    ("no reason and no space", b"HTTP/1.1 200\r\n", 200),
    ("no reason, another status", b"HTTP/1.1 404\r\n", 404),
    (
        "a reason of several words",
        b"HTTP/1.1 404 Not Found Here\r\n",
        404,
    ),
    (
        "a reason of another status",
        b"HTTP/1.1 200 Not Found\r\n",
        200,
    ),
    ("a reason in lower case", b"HTTP/1.1 200 ok\r\n", 200),
    ("a reason that is a number", b"HTTP/1.1 200 404\r\n", 200),
    (
        "a reason with a colon",
        b"HTTP/1.1 200 status: fine\r\n",
        200,
    ),
    ("a reason with a tab", b"HTTP/1.1 200 all\tfine\r\n", 200),
    (
        "a reason with a space at its end",
        b"HTTP/1.1 200 OK \r\n",
        200,
    ),
    (
        "a reason that begins with a space",
        b"HTTP/1.1 200  OK\r\n",
        200,
    ),
    (
        "a reason in Latin-1",
        b"HTTP/1.1 404 Non trouv\xe9\r\n",
        404,
    ),
    (
        "a reason in UTF-8",
        "HTTP/1.1 404 見つかりません\r\n".as_bytes(),
        404,
    ),
    (
        "a reason of all obs-text",
        b"HTTP/1.1 200 \x80\x81\xfe\xff\r\n",
        200,
    ),
    ("LF", b"HTTP/1.1 200 OK\n", 200),
    ("LF after no reason", b"HTTP/1.1 200 \n", 200),
    ("LF after the status", b"HTTP/1.1 200\n", 200),
    ("an empty line before", b"\r\nHTTP/1.1 200 OK\r\n", 200),
    (
        "empty lines before",
        b"\r\n\r\n\r\nHTTP/1.1 200 OK\r\n",
        200,
    ),
    ("LF before", b"\nHTTP/1.1 200 OK\r\n", 200),
    ("several LF before", b"\n\n\nHTTP/1.1 200 OK\n", 200),
    ("CRLF and LF before", b"\r\n\n\r\nHTTP/1.1 200 OK\r\n", 200),
];

/// Statuses that we accept along with any reason phrase.
const STATUSES: &[u16] = &[
    201, 202, 203, 206, 226, 299, 300, 301, 302, 307, 308, 400, 401, 418, 429, 451, 499, 500, 503,
    520, 599, 600, 700, 777, 999,
];

/// Status lines that aren't valid. The rest of the response is.
const REFUSED: &[(&str, &[u8])] = &[
    ("HTTP/0.9", b"HTTP/0.9 200 OK\r\n"),
    ("HTTP/1.2", b"HTTP/1.2 200 OK\r\n"),
    ("HTTP/1.9", b"HTTP/1.9 200 OK\r\n"),
    ("HTTP/1.10", b"HTTP/1.10 200 OK\r\n"),
    ("HTTP/1.01", b"HTTP/1.01 200 OK\r\n"),
    ("HTTP/01.1", b"HTTP/01.1 200 OK\r\n"),
    ("HTTP/2", b"HTTP/2 200\r\n"),
    ("HTTP/2.0", b"HTTP/2.0 200 OK\r\n"),
    ("HTTP/3", b"HTTP/3 200\r\n"),
    ("HTTP/1", b"HTTP/1 200 OK\r\n"),
    ("HTTP/1.", b"HTTP/1. 200 OK\r\n"),
    ("HTTP/1,1", b"HTTP/1,1 200 OK\r\n"),
    ("HTTP/1.x", b"HTTP/1.x 200 OK\r\n"),
    ("HTTP 1.1", b"HTTP 1.1 200 OK\r\n"),
    ("HTTP/ 1.1", b"HTTP/ 1.1 200 OK\r\n"),
    ("lower case", b"http/1.1 200 OK\r\n"),
    ("mixed case", b"Http/1.1 200 OK\r\n"),
    ("another protocol", b"ICY 200 OK\r\n"),
    ("RTSP", b"RTSP/1.0 200 OK\r\n"),
    ("a letter before", b"XHTTP/1.1 200 OK\r\n"),
    ("a space before", b" HTTP/1.1 200 OK\r\n"),
    ("a line of a space before", b" \r\nHTTP/1.1 200 OK\r\n"),
    (
        "a byte order mark before",
        b"\xef\xbb\xbfHTTP/1.1 200 OK\r\n",
    ),
    ("a NUL before", b"\0HTTP/1.1 200 OK\r\n"),
    ("no status", b"HTTP/1.1\r\n"),
    ("no status but a space", b"HTTP/1.1 \r\n"),
    ("no status but a reason", b"HTTP/1.1 OK\r\n"),
    ("one digit", b"HTTP/1.1 2 OK\r\n"),
    ("two digits", b"HTTP/1.1 20 OK\r\n"),
    ("two digits and no reason", b"HTTP/1.1 20\r\n"),
    ("four digits", b"HTTP/1.1 2000 OK\r\n"),
    ("four digits and no reason", b"HTTP/1.1 0200\r\n"),
    ("digits apart", b"HTTP/1.1 2 00 OK\r\n"),
    ("a letter in the status", b"HTTP/1.1 2O0 OK\r\n"),
    ("hexadecimal", b"HTTP/1.1 0xc8 OK\r\n"),
    ("a sign", b"HTTP/1.1 +20 OK\r\n"),
    ("a negative status", b"HTTP/1.1 -20 OK\r\n"),
    ("a fraction", b"HTTP/1.1 200.1 OK\r\n"),
    ("the reason at the status", b"HTTP/1.1 200OK\r\n"),
    ("the status at the version", b"HTTP/1.1200 OK\r\n"),
    (
        "digits of another script",
        "HTTP/1.1 ２００ OK\r\n".as_bytes(),
    ),
    ("status 000", b"HTTP/1.1 000 None\r\n"),
    ("status 001", b"HTTP/1.1 001 One\r\n"),
    ("status 099", b"HTTP/1.1 099 Low\r\n"),
    ("a request", b"GET / HTTP/1.1\r\n"),
    ("a header line", b"content-type: text/plain\r\n"),
    ("a CGI status", b"Status: 200 OK\r\n"),
];

/// Greetings from servers that speak other protocols.
const BANNERS: &[(&str, &[u8])] = &[
    ("SSH", b"SSH-2.0-Server_1.0\r\n"),
    ("FTP", b"220 files.test ready\r\n"),
    ("SMTP", b"220 mail.test ESMTP\r\n"),
    ("POP3", b"+OK ready\r\n"),
    ("Redis", b"-ERR unknown command 'GET'\r\n"),
];

pub(crate) fn cases() -> Vec<Case> {
    let accepted = ACCEPTED
        .iter()
        .map(|(name, line, status)| ok(*name, cat(&[line, HI]), "hi").status(*status).kept());
    let statuses = STATUSES.iter().map(|status| {
        let line = format!("HTTP/1.1 {status} Status\r\n");
        let answer = cat(&[line.as_bytes(), HI]);
        ok(format!("status {status}"), answer, "hi")
            .status(*status)
            .kept()
    });
    let refused = REFUSED
        .iter()
        .map(|(name, line)| protocol(*name, cat(&[line, HI]), "status line").kept());
    let banners = BANNERS.iter().map(|(name, line)| {
        protocol(format!("a banner of {name}"), line.to_vec(), "status line").kept()
    });
    let mut cases: Vec<_> = accepted
        .chain(statuses)
        .chain(refused)
        .chain(banners)
        .collect();

    let html = b"<!doctype html>\r\n<html>\r\n<body>hi</body>\r\n</html>\r\n";
    cases.push(protocol(
        "a page without a head",
        html.to_vec(),
        "status line",
    ));
    cases.push(protocol(
        "a page after an empty line",
        cat(&[b"\r\n", html]),
        "status line",
    ));
    cases.push(protocol(
        "JSON without a head",
        b"{\n  \"a\": 1\n}\n".to_vec(),
        "status line",
    ));
    // The first thing an HTTP/2 server sends is a SETTINGS frame.
    let settings = b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64";
    cases.push(protocol(
        "HTTP/2 by itself",
        settings.to_vec(),
        "status line",
    ));
    let long = format!("HTTP/1.1 200 {}\r\n", "all is well ".repeat(100));
    cases.push(ok("a long reason", cat(&[long.as_bytes(), HI]), "hi").kept());

    let old = HttpVersion::Http10;
    for (name, line) in [
        ("HTTP/1.0", &b"HTTP/1.0 200 OK\r\n"[..]),
        ("HTTP/1.0 and no reason", b"HTTP/1.0 200\r\n"),
        ("HTTP/1.0 and LF", b"HTTP/1.0 200 OK\n"),
    ] {
        cases.push(ok(name, cat(&[line, HI]), "hi").version(old).kept());
    }
    let new = HttpVersion::Http11;
    let answer = cat(&[b"HTTP/1.1 200 OK\r\n", HI]);
    cases.push(ok("HTTP/1.1", answer, "hi").version(new).kept());
    cases
}
