//! Content codings, combined with every way of framing a body. For tests of the decoders,
//! see `bodies`.

use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};

use super::case::{Case, OK, SURPLUS, cat, ok};

const TEXT: &[u8] = b"a body, a body, a body, a body";

fn gzip() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(TEXT).unwrap();
    encoder.finish().unwrap()
}

fn zlib() -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(TEXT).unwrap();
    encoder.finish().unwrap()
}

fn deflate() -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(TEXT).unwrap();
    encoder.finish().unwrap()
}

/// Returns a response with a Content-Length, the header `line`, and `body`.
fn sized(line: &str, body: &[u8]) -> Vec<u8> {
    let lines = format!("{line}\r\ncontent-length: {}\r\n\r\n", body.len());
    cat(&[OK, lines.as_bytes(), body])
}

/// Returns a response with the header `line`, and with `body` split into chunks of 7
/// bytes.
fn chunked(line: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("{line}\r\ntransfer-encoding: chunked\r\n\r\n");
    let mut answer = cat(&[OK, head.as_bytes()]);
    for chunk in body.chunks(7) {
        answer.extend(cat(&[
            format!("{:x}\r\n", chunk.len()).as_bytes(),
            chunk,
            b"\r\n",
        ]));
    }
    answer.extend(b"0\r\n\r\n");
    answer
}

pub(crate) fn cases() -> Vec<Case> {
    let (gzip, zlib, deflate) = (gzip(), zlib(), deflate());
    let mut decoded = Vec::new();
    for (name, line, body) in [
        ("gzip", "content-encoding: gzip", &gzip),
        ("GZIP", "Content-Encoding: GZIP", &gzip),
        ("x-gzip", "content-encoding: x-gzip", &gzip),
        ("gzip, folded", "content-encoding:\r\n gzip", &gzip),
        (
            "deflate with a zlib header",
            "content-encoding: deflate",
            &zlib,
        ),
        (
            "deflate without a header",
            "content-encoding: deflate",
            &deflate,
        ),
    ] {
        decoded.push(ok(format!("{name}, a length"), sized(line, body), TEXT).kept());
        decoded.push(ok(format!("{name}, chunks"), chunked(line, body), TEXT).kept());
        let until_close = cat(&[OK, line.as_bytes(), b"\r\n\r\n", body]);
        decoded.push(ok(format!("{name}, up to the end"), until_close, TEXT));
    }
    let followed = cat(&[&sized("content-encoding: gzip", &gzip), SURPLUS]);
    decoded.push(ok("gzip and a response after it", followed, TEXT).kept());
    let decoded = decoded.into_iter();
    let decoded = decoded.map(|case| case.lacks("content-encoding").lacks("content-length"));

    let passed = [
        ("br", "br"),
        ("zstd", "zstd"),
        ("an unknown coding", "x-own"),
        ("an unknown coding over gzip", "gzip, br"),
    ];
    let passed = passed.map(|(name, coding)| {
        let answer = sized(&format!("content-encoding: {coding}"), b"as it is");
        let case = ok(name, answer, "as it is").line("content-encoding", coding);
        case.line("content-length", "8").kept()
    });
    let empty = ok("an empty body", sized("content-encoding: gzip", b""), "").kept();

    let mut wrong = gzip.clone();
    *wrong.last_mut().unwrap() ^= 1;
    let broken = [
        (
            "text instead of gzip",
            sized("content-encoding: gzip", TEXT),
        ),
        (
            "text instead of gzip in chunks",
            chunked("content-encoding: gzip", TEXT),
        ),
        (
            "text instead of deflate",
            sized("content-encoding: deflate", b"\xff\xff no deflate"),
        ),
        (
            "half of gzip",
            sized("content-encoding: gzip", &gzip[..gzip.len() / 2]),
        ),
        (
            "half of gzip in chunks",
            chunked("content-encoding: gzip", &gzip[..gzip.len() / 2]),
        ),
        (
            "a wrong size in gzip",
            sized("content-encoding: gzip", &wrong),
        ),
        (
            "half of zlib",
            sized("content-encoding: deflate", &zlib[..zlib.len() / 2]),
        ),
        (
            "three codings",
            sized("content-encoding: gzip, gzip, gzip", &gzip),
        ),
    ];
    let broken = broken.map(|(name, answer)| ok(name, answer, "").undecodable().kept());
    decoded.chain(passed).chain([empty]).chain(broken).collect()
}
