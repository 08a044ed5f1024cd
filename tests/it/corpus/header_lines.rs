//! Header lines (RFC 9112, 5).

use super::case::{Case, HI, OK, cat, ok, protocol};

/// Header lines that we accept, and the resulting value of `x`.
const ACCEPTED: &[(&str, &[u8], &[u8])] = &[
    ("plain", b"x: value\r\n", b"value"),
    ("LF", b"x: value\n", b"value"),
    ("name in upper case", b"X: value\r\n", b"value"),
    ("no space after the colon", b"x:value\r\n", b"value"),
    ("spaces after the colon", b"x:    value\r\n", b"value"),
    ("a tab after the colon", b"x:\tvalue\r\n", b"value"),
    ("spaces at the end", b"x: value   \r\n", b"value"),
    ("a tab at the end", b"x: value\t\r\n", b"value"),
    ("blanks all around", b"x: \t value \t \r\n", b"value"),
    ("blanks before LF", b"x: value \t\n", b"value"),
    ("a space before the colon", b"x : value\r\n", b"value"),
    ("a tab before the colon", b"x\t: value\r\n", b"value"),
    ("blanks before the colon", b"x \t : value\r\n", b"value"),
    (
        "a space before the colon, none after",
        b"x :value\r\n",
        b"value",
    ),
    ("an empty value", b"x:\r\n", b""),
    ("an empty value after a space", b"x: \r\n", b""),
    ("an empty value of blanks", b"x: \t \t\r\n", b""),
    ("an empty value and LF", b"x:\n", b""),
    ("spaces inside", b"x: a  b   c\r\n", b"a  b   c"),
    ("tabs inside", b"x: a\tb\t\tc\r\n", b"a\tb\t\tc"),
    ("colons inside", b"x: a:b: c\r\n", b"a:b: c"),
    ("a colon first", b"x:: a\r\n", b": a"),
    ("quotes", b"x: \"a\\\"b\"\r\n", b"\"a\\\"b\""),
    ("an open quote", b"x: \"a\r\n", b"\"a"),
    ("a comment", b"x: a (b \\) c)\r\n", b"a (b \\) c)"),
    ("a list", b"x: a, b,, c ,\r\n", b"a, b,, c ,"),
    (
        "punctuation",
        b"x: !#$%&'*+-.^_`|~()<>@;\\/[]?={}\r\n",
        b"!#$%&'*+-.^_`|~()<>@;\\/[]?={}",
    ),
    ("obs-text", b"x: \x80\xa0\xfe\xff\r\n", b"\x80\xa0\xfe\xff"),
    ("Latin-1", b"x: caf\xe9\r\n", b"caf\xe9"),
    ("UTF-8", "x: 東京\r\n".as_bytes(), "東京".as_bytes()),
    (
        "obs-text is not whitespace",
        b"x: \xa0value\x85\r\n",
        b"\xa0value\x85",
    ),
    ("a value that looks like a line", b"x: y: z\r\n", b"y: z"),
    (
        "a value that looks like a status line",
        b"x: HTTP/1.1 404 Not Found\r\n",
        b"HTTP/1.1 404 Not Found",
    ),
    ("folded by a space", b"x: a\r\n b\r\n", b"a b"),
    ("folded by a tab", b"x: a\r\n\tb\r\n", b"a b"),
    ("folded by spaces", b"x: a\r\n      b\r\n", b"a b"),
    ("folded by blanks", b"x: a\r\n \t \tb\r\n", b"a b"),
    ("folded, with blanks before", b"x: a \t \r\n b\r\n", b"a b"),
    ("folded twice", b"x: a\r\n b\r\n\tc\r\n", b"a b c"),
    (
        "folded five times",
        b"x: a\r\n b\r\n c\r\n d\r\n e\r\n f\r\n",
        b"a b c d e f",
    ),
    ("folded with LF", b"x: a\n b\r\n", b"a b"),
    ("folded with LF and a tab", b"x: a\n\tb\n", b"a b"),
    (
        "folded with both line ends",
        b"x: a\r\n b\n c\r\n",
        b"a b c",
    ),
    ("folded at once", b"x:\r\n value\r\n", b"value"),
    ("folded after a space", b"x: \r\n value\r\n", b"value"),
    ("folded to nothing", b"x: value\r\n \r\n", b"value"),
    (
        "folded to nothing but a tab",
        b"x: value\r\n\t\r\n",
        b"value",
    ),
    ("folded, all of it empty", b"x:\r\n \r\n", b""),
    ("folded, with a colon", b"x: a\r\n b: c\r\n", b"a b: c"),
    ("folded, with a colon first", b"x: a\r\n : b\r\n", b"a : b"),
    (
        "folded, with blanks at the end",
        b"x: a\r\n b \t\r\n",
        b"a b",
    ),
    (
        "folded, with obs-text",
        b"x: \xe9\r\n \xff\r\n",
        b"\xe9 \xff",
    ),
    (
        "folded before a line that looks like a length",
        b"x: a\r\n content-length: 9\r\n",
        b"a content-length: 9",
    ),
];

/// Names that we accept: first as sent, then as returned.
const NAMES: &[(&str, &str, &str)] = &[
    ("one letter", "a", "a"),
    ("a digit", "1", "1"),
    ("upper case", "X-UPPER-CASE", "x-upper-case"),
    ("mixed case", "x-MiXeD", "x-mixed"),
    ("an underscore", "x_under_score", "x_under_score"),
    ("a dot", "x.dot", "x.dot"),
    (
        "every other character of a token",
        "!#$%&'*+-.^_`|~09azAZ",
        "!#$%&'*+-.^_`|~09azaz",
    ),
];

/// Header lines that we reject.
const REFUSED: &[(&str, &[u8])] = &[
    ("an empty name", b": value\r\n"),
    ("a colon alone", b":\r\n"),
    ("no colon", b"value\r\n"),
    ("no colon, LF", b"value\n"),
    ("no colon but an equals sign", b"x=value\r\n"),
    ("a second status line", b"HTTP/1.1 200 OK\r\n"),
    ("a space in the name", b"x y: value\r\n"),
    ("a tab in the name", b"x\ty: value\r\n"),
    ("a space in the name and at its end", b"x y : value\r\n"),
    ("a NUL in the name", b"x\0: value\r\n"),
    ("a control in the name", b"x\x01y: value\r\n"),
    ("a DEL in the name", b"x\x7f: value\r\n"),
    ("a vertical tab after the name", b"x\x0b: value\r\n"),
    ("a bare CR in the name", b"x\ry: value\r\n"),
    ("a bare CR after the name", b"x\r: value\r\n"),
    ("a bare CR before the name", b"\rx: value\r\n"),
    ("obs-text in the name", b"x\xe9: value\r\n"),
    ("obs-text after the name", b"x\xa0: value\r\n"),
    ("UTF-8 in the name", "größe: value\r\n".as_bytes()),
    ("a quoted name", b"\"x\": value\r\n"),
    ("a parenthesis in the name", b"x(y): value\r\n"),
    ("a comma in the name", b"x,y: value\r\n"),
    ("a semicolon in the name", b"x;y: value\r\n"),
    ("a slash in the name", b"x/y: value\r\n"),
    ("a backslash in the name", b"x\\y: value\r\n"),
    ("an equals sign in the name", b"x=y: value\r\n"),
    ("an at sign in the name", b"x@y: value\r\n"),
    ("a question mark in the name", b"x?: value\r\n"),
    ("angle brackets in the name", b"<x>: value\r\n"),
    ("square brackets in the name", b"[x]: value\r\n"),
    ("braces in the name", b"{x}: value\r\n"),
    ("a NUL in the value", b"x: a\0b\r\n"),
    ("a NUL at the end of the value", b"x: a\0\r\n"),
    ("0x01 in the value", b"x: a\x01b\r\n"),
    ("a bell in the value", b"x: \x07\r\n"),
    ("a backspace in the value", b"x: a\x08\r\n"),
    ("a vertical tab in the value", b"x: a\x0bb\r\n"),
    ("a form feed in the value", b"x: a\x0cb\r\n"),
    ("an escape in the value", b"x: \x1b[31mred\r\n"),
    ("0x1f in the value", b"x: a\x1fb\r\n"),
    ("a DEL in the value", b"x: a\x7fb\r\n"),
    ("a bare CR in the value", b"x: a\rb\r\n"),
    ("a bare CR first in the value", b"x:\ra\r\n"),
    ("a bare CR at the end of the value", b"x: a\r\r\n"),
    ("a bare CR as a line end", b"x: a\ry: b\r\n"),
    ("a bare CR as a fold", b"x: a\r b\r\n"),
    ("a NUL in a folded line", b"x: a\r\n b\0\r\n"),
    ("a bare CR in a folded line", b"x: a\r\n b\rc\r\n"),
    ("a bare CR before a fold", b"x: a\r\r\n b\r\n"),
];

/// Header lines that we reject if they come right after the status line.
const REFUSED_FIRST: &[(&str, &[u8])] = &[
    ("a fold after the status line", b" x: value\r\n"),
    ("a fold by a tab after the status line", b"\tx: value\r\n"),
    (
        "a fold without a colon after the status line",
        b" value\r\n",
    ),
    ("a fold of nothing after the status line", b" \r\n"),
    ("a fold with LF after the status line", b" x: value\n"),
    (
        "a fold with an empty name after the status line",
        b" : value\r\n",
    ),
];

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, line, value) in ACCEPTED {
        let answer = cat(&[OK, line, HI]);
        cases.push(
            ok(*name, answer, "hi")
                .line("x", *value)
                .line_count(2)
                .kept(),
        );
    }
    for (name, sent, received) in NAMES {
        let answer = cat(&[OK, sent.as_bytes(), b": value\r\n", HI]);
        let case = ok(format!("a name with {name}"), answer, "hi");
        cases.push(case.line(received, "value").kept());
    }
    for (name, line) in REFUSED {
        let answer = cat(&[OK, b"content-length: 2\r\n", line, b"y: z\r\n\r\nhi"]);
        cases.push(protocol(*name, answer, "header").kept());
    }
    for (name, line) in REFUSED_FIRST {
        // Without this line, the response would be valid.
        cases.push(protocol(*name, cat(&[OK, line, HI]), "header").kept());
    }
    cases.extend(whole_heads());
    cases
}

fn whole_heads() -> Vec<Case> {
    let cookies = b"set-cookie: a=1\r\nx: 1\r\nSet-Cookie: b=2\r\nSET-COOKIE: a=1\r\nx: 2\r\n";
    let folded_twice = b"x: a\r\n b\r\nx: c\r\n d\r\n";
    let names = b"a: 1\r\nB: 2\r\nc-D: 3\r\n";
    let mixed = b"HTTP/1.1 200 OK\nx: 1\r\ny: 2\ncontent-length: 2\r\n";
    vec![
        ok("no lines", cat(&[OK, b"\r\n"]), "").line_count(0),
        ok("duplicates in order", cat(&[OK, cookies, HI]), "hi")
            .line("set-cookie", "a=1")
            .line("set-cookie", "b=2")
            .line("set-cookie", "a=1")
            .line("x", "1")
            .line("x", "2")
            .kept(),
        ok("two folded lines", cat(&[OK, folded_twice, HI]), "hi")
            .line("x", "a b")
            .line("x", "c d")
            .kept(),
        ok(
            "empty duplicates",
            cat(&[OK, b"x:\r\nx:\r\nx: 1\r\n", HI]),
            "hi",
        )
        .line("x", "")
        .line("x", "")
        .line("x", "1")
        .kept(),
        ok("several names", cat(&[OK, names, HI]), "hi")
            .line("a", "1")
            .line("b", "2")
            .line("c-d", "3")
            .line("content-length", "2")
            .line_count(4)
            .kept(),
        ok("both line ends, LF at last", cat(&[mixed, b"\nhi"]), "hi")
            .line_count(3)
            .kept(),
        ok(
            "both line ends, CRLF at last",
            cat(&[mixed, b"\r\nhi"]),
            "hi",
        )
        .line_count(3)
        .kept(),
        ok(
            "LF alone",
            b"HTTP/1.1 200 OK\nx: 1\ncontent-length: 2\n\nhi".to_vec(),
            "hi",
        )
        .line("x", "1")
        .kept(),
        ok(
            "a fold as the last line",
            cat(&[OK, b"content-length: 2\r\nx: a\r\n b\r\n\r\nhi"]),
            "hi",
        )
        .line("x", "a b")
        .kept(),
        ok(
            "a body that begins with a fold",
            cat(&[OK, b"content-length: 4\r\n\r\n a: "]),
            " a: ",
        )
        .kept(),
        ok(
            "a body that begins with line ends",
            cat(&[OK, b"content-length: 4\r\n\r\n\r\n\r\n"]),
            "\r\n\r\n",
        )
        .kept(),
        protocol(
            "no colon in the last line",
            cat(&[OK, b"content-length: 2\r\nx\r\n\r\nhi"]),
            "header",
        )
        .kept(),
        protocol(
            "a NUL in the last line",
            cat(&[OK, b"content-length: 2\r\nx: \0\r\n\r\nhi"]),
            "header",
        )
        .kept(),
        protocol(
            "a bare CR at the end of the last line",
            cat(&[OK, b"content-length: 2\r\r\n\r\nhi"]),
            "header",
        )
        .kept(),
        protocol(
            "a bare CR in the empty line",
            cat(&[OK, b"content-length: 2\r\n\rhi\r\n\r\n"]),
            "header",
        )
        .kept(),
    ]
}
