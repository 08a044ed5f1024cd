//! Chunked bodies (RFC 9112, 7.1).

use fetchd::proto::Reason;

use super::case::{CHUNKED, Case, SURPLUS, cat, ok, protocol};

/// Bodies that we accept, and the decoded data.
const ACCEPTED: &[(&str, &[u8], &[u8])] = &[
    ("one chunk", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("two chunks", b"3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello"),
    ("a byte each", b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n", b"hi"),
    ("an empty body", b"0\r\n\r\n", b""),
    ("an empty body of zeros", b"0000\r\n\r\n", b""),
    (
        "a size in lower case",
        b"a\r\n0123456789\r\n0\r\n\r\n",
        b"0123456789",
    ),
    (
        "a size in upper case",
        b"A\r\n0123456789\r\n0\r\n\r\n",
        b"0123456789",
    ),
    ("a leading zero", b"05\r\nhello\r\n0\r\n\r\n", b"hello"),
    (
        "16 digits",
        b"0000000000000005\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "40 digits, of which 39 are zeros",
        b"0000000000000000000000000000000000000005\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "a last chunk of 20 zeros",
        b"5\r\nhello\r\n00000000000000000000\r\n\r\n",
        b"hello",
    ),
    (
        "a space after the size",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "spaces after the size",
        b"5      \r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "a tab after the size",
        b"5\t\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "blanks after the last size",
        b"5\r\nhello\r\n0 \t \r\n\r\n",
        b"hello",
    ),
    ("a name", b"5;a\r\nhello\r\n0\r\n\r\n", b"hello"),
    ("a value", b"5;a=b\r\nhello\r\n0\r\n\r\n", b"hello"),
    (
        "a quoted value",
        b"5;a=\"b\"\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "a quoted value with a semicolon",
        b"5;a=\"b;c=d\"\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "a quoted value with an escape",
        b"5;a=\"b\\\"c\"\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "several extensions",
        b"5;a=b;c;d=\"e\"\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "a space before an extension",
        b"5 ;a=b\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "blanks in an extension",
        b"5\t; a = b \t\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    ("an empty extension", b"5;\r\nhello\r\n0\r\n\r\n", b"hello"),
    (
        "obs-text in an extension",
        b"5;a=\xff\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "an extension that looks like a size",
        b"5;9\r\nhello\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "an extension of each chunk",
        b"3;a=1\r\nhel\r\n2;a=2\r\nlo\r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "an extension of the last chunk",
        b"5\r\nhello\r\n0;a=b\r\n\r\n",
        b"hello",
    ),
    (
        "line ends in the data",
        b"4\r\n\r\n\r\n\r\n0\r\n\r\n",
        b"\r\n\r\n",
    ),
    (
        "a last chunk in the data",
        b"7\r\nx0\r\n\r\ny\r\n0\r\n\r\n",
        b"x0\r\n\r\ny",
    ),
    ("a NUL in the data", b"3\r\na\0b\r\n0\r\n\r\n", b"a\0b"),
];

/// Chunk sizes that we reject. There's always a valid chunk "one" before them.
const BAD_SIZES: &[(&str, &[u8])] = &[
    ("no size", b"\r\n"),
    ("no size but an extension", b";a=b\r\n"),
    ("no size but blanks", b" \t\r\n"),
    ("a space before the size", b" 5\r\n"),
    ("a tab before the size", b"\t5\r\n"),
    ("0x before the size", b"0x5\r\n"),
    ("a letter that is not hexadecimal", b"g\r\n"),
    ("a letter after a digit", b"5g\r\n"),
    ("an h after the size", b"5h\r\n"),
    ("a minus sign", b"-1\r\n"),
    ("a plus sign", b"+5\r\n"),
    ("a fraction", b"5.0\r\n"),
    ("a comma", b"5,5\r\n"),
    ("an underscore", b"0_5\r\n"),
    ("a quoted size", b"\"5\"\r\n"),
    ("a word", b"five\r\n"),
    ("a NUL before the size", b"\x005\r\n"),
    ("a NUL after the size", b"5\0\r\n"),
    ("a vertical tab after the size", b"5\x0b\r\n"),
    ("obs-text", b"\xff\r\n"),
    ("obs-text after the size", b"5\xa0\r\n"),
    ("digits of another script", "５\r\n".as_bytes()),
    ("17 digits", b"10000000000000000\r\n"),
    ("17 digits of f", b"fffffffffffffffff\r\n"),
    ("5 if cut to 64 bits", b"10000000000000005\r\n"),
    ("17 digits after zeros", b"00000010000000000000005\r\n"),
    ("40 digits", b"5555555555555555555555555555555555555555\r\n"),
];

/// Chunks that we reject, and the data before the fault. There's always a valid chunk
/// "one" before them.
const BAD_FRAMING: &[(&str, &[u8], &[u8])] = &[
    ("LF after the size", b"5\nhello\r\n", b""),
    ("LF after a blank", b"5 \nhello\r\n", b""),
    ("LF after an extension", b"5;a=b\nhello\r\n", b""),
    ("LF in a quoted value", b"5;a=\"\n\"\r\nhello\r\n", b""),
    ("LF after the last size", b"0\n\r\n", b""),
    ("LF after an extension of the last chunk", b"0;a\n\r\n", b""),
    ("a bare CR after the size", b"5\rhello\r\n", b""),
    ("a bare CR and a size", b"5\r5\r\nhello\r\n", b""),
    ("a bare CR after a blank", b"5 \rhello\r\n", b""),
    ("a bare CR in an extension", b"5;a\rb\r\nhello\r\n", b""),
    ("a bare CR before the line end", b"5\r\r\nhello\r\n", b""),
    ("a bare CR after the last size", b"0\r\r\n\r\n", b""),
    ("two sizes", b"5 5\r\nhello\r\n", b""),
    ("a word after a blank", b"5 x\r\nhello\r\n", b""),
    ("LF after the data", b"5\r\nhello\n0\r\n\r\n", b"hello"),
    ("LF CR after the data", b"5\r\nhello\n\r0\r\n\r\n", b"hello"),
    ("nothing after the data", b"5\r\nhello0\r\n\r\n", b"hello"),
    (
        "a space after the data",
        b"5\r\nhello \r\n0\r\n\r\n",
        b"hello",
    ),
    (
        "more data than the size",
        b"3\r\nhello\r\n0\r\n\r\n",
        b"hel",
    ),
    (
        "less data than the size",
        b"6\r\nhello\r\n0\r\n\r\n",
        b"hello\r",
    ),
    (
        "a bare CR after the data",
        b"5\r\nhello\r0\r\n\r\n",
        b"hello",
    ),
    (
        "two CR after the data",
        b"5\r\nhello\r\r\n0\r\n\r\n",
        b"hello",
    ),
];

/// Truncated bodies, and the data in them. Each is cut off both by a FIN and by a reset.
const PARTS: &[(&str, &[u8], &[u8])] = &[
    ("without a byte", b"", b""),
    ("in the first size", b"1", b""),
    ("in the line end of a size", b"5\r", b""),
    ("after a size", b"5\r\n", b""),
    ("in an extension", b"5;a=", b""),
    ("in the data", b"5\r\nhel", b"hel"),
    ("after the data", b"5\r\nhello", b"hello"),
    ("in the line end of the data", b"5\r\nhello\r", b"hello"),
    ("after a chunk", b"5\r\nhello\r\n", b"hello"),
    ("in the second size", b"5\r\nhello\r\n1", b"hello"),
    (
        "in the data of the second chunk",
        b"2\r\nhe\r\n3\r\nll",
        b"hell",
    ),
    ("after the last size", b"5\r\nhello\r\n0", b"hello"),
    (
        "in the line end of the last size",
        b"5\r\nhello\r\n0\r",
        b"hello",
    ),
    ("before the last line end", b"5\r\nhello\r\n0\r\n", b"hello"),
    ("in the last line end", b"5\r\nhello\r\n0\r\n\r", b"hello"),
    (
        "in a chunk of 8 EiB",
        b"7fffffffffffffff\r\nhello",
        b"hello",
    ),
];

/// Returns `count` chunks of a single byte. Each has an extension of `length` bytes.
fn extended(count: usize, length: usize) -> Vec<u8> {
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(length - 1));
    chunk.repeat(count).into_bytes()
}

pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, body, data) in ACCEPTED {
        cases.push(ok(*name, cat(&[CHUNKED, body]), *data).kept());
    }
    let first: &[u8] = b"3\r\none\r\n";
    for (name, line) in BAD_SIZES {
        let answer = cat(&[CHUNKED, first, line, b"hello\r\n0\r\n\r\n"]);
        cases.push(protocol(*name, answer, "chunk size").after("one").kept());
    }
    let at_once = cat(&[CHUNKED, b"zz\r\nhello\r\n"]);
    cases.push(
        protocol("no size at all", at_once, "chunk size")
            .after("")
            .kept(),
    );
    for (name, rest, data) in BAD_FRAMING {
        let answer = cat(&[CHUNKED, first, rest]);
        cases.push(
            protocol(*name, answer, "chunk")
                .after(cat(&[b"one", data]))
                .kept(),
        );
    }
    for (name, part, data) in PARTS {
        let short = |name: String| {
            let mut case = ok(name, cat(&[CHUNKED, part]), *data);
            case.expected.error = Some((Reason::Disconnected, ""));
            case
        };
        cases.push(short(format!("the end {name}")));
        cases.push(short(format!("a reset {name}")).reset());
    }

    let last: &[u8] = b"0\r\n\r\n";
    let complete = |body: &[u8]| cat(&[CHUNKED, body, last]);
    let over = "chunk extension";
    cases.extend([
        ok(
            "15 KiB of one extension",
            complete(&extended(1, 15 << 10)),
            "x",
        )
        .kept(),
        ok(
            "15 KiB of many extensions",
            complete(&extended(150, 102)),
            "x".repeat(150),
        )
        .kept(),
        protocol(
            "20 KiB of one extension",
            complete(&extended(1, 20 << 10)),
            over,
        )
        .after("")
        .kept(),
        protocol("an extension without end", cat(&[CHUNKED, b"1;"]), over)
            .after("")
            .endless(b"eeee"),
    ]);
    let mut many = protocol(
        "20 KiB of many extensions",
        complete(&extended(200, 102)),
        over,
    )
    .status(200);
    // We don't care how many chunks are accepted before the fault.
    many.expected.body = None;
    cases.push(many.kept());

    let large: Vec<u8> = (0..100_000_u32).map(|index| (index % 251) as u8).collect();
    let lower = cat(&[b"186a0\r\n", &large, b"\r\n"]);
    let upper = cat(&[b"000186A0;a=b\r\n", &large, b"\r\n"]);
    let mixed = cat(&[b"0aB\r\n", &large[..171], b"\r\n"]);
    let bytes = b"1\r\nx\r\n".repeat(1000);
    let ten = cat(&[b"2710\r\n", &large[..10_000], b"\r\n"]).repeat(10);
    cases.extend([
        ok("a chunk of 100,000 bytes", complete(&lower), large.clone()).kept(),
        ok(
            "100,000 bytes, and a size in upper case",
            complete(&upper),
            large.clone(),
        )
        .kept(),
        ok("a size in mixed case", complete(&mixed), &large[..171]).kept(),
        ok(
            "ten chunks of 10,000 bytes",
            complete(&ten),
            large[..10_000].repeat(10),
        )
        .kept(),
        ok("1000 chunks of a byte", complete(&bytes), "x".repeat(1000)).kept(),
        ok(
            "the end after the last chunk",
            complete(b"5\r\nhello\r\n"),
            "hello",
        ),
        ok(
            "a byte after the end",
            cat(&[CHUNKED, b"2\r\nhi\r\n", last, b"!"]),
            "hi",
        )
        .kept(),
        ok(
            "a line end after the end",
            cat(&[CHUNKED, b"2\r\nhi\r\n", last, b"\r\n"]),
            "hi",
        )
        .kept(),
        ok(
            "a chunk after the end",
            cat(&[CHUNKED, b"2\r\nhi\r\n", last, b"2\r\nho\r\n"]),
            "hi",
        )
        .kept(),
        ok(
            "a response after the end",
            cat(&[CHUNKED, b"2\r\nhi\r\n", last, SURPLUS]),
            "hi",
        )
        .kept(),
        ok(
            "a response after an empty body",
            cat(&[CHUNKED, last, SURPLUS]),
            "",
        )
        .kept(),
    ]);
    cases
}
