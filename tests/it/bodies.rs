//! Encoded bodies: we decode the codings we know and pass through all others. No body
//! exceeds its limit.

use std::{convert::Infallible, io::Write};

use bytes::Bytes;
use fetchd::{
    client::{Client, Outcome, Request},
    proto::Reason,
};
use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{Response, body::Frame};

use crate::support::{
    Origin, Process, RawOrigin, Reply, check, reply, row, service, within_timeout,
};

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn zlib(data: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn deflate(data: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn encoded(coding: &'static str, body: impl Into<Bytes>) -> Reply {
    let mut response = reply(body);
    response
        .headers_mut()
        .insert("content-encoding", coding.parse().unwrap());
    response
}

/// Returns a response with a chunked body that never ends.
fn endless() -> Reply {
    let frames =
        stream::repeat_with(|| Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; 10_000]))));
    Response::new(BodyExt::boxed(StreamBody::new(frames)))
}

async fn outcome(client: &Client, request: impl Into<Request>) -> Outcome {
    within_timeout(client.fetch([request]).outcomes().next())
        .await
        .unwrap()
}

const DATA: &[u8] = b"a body of some length, of some length, of some length";

#[tokio::test(flavor = "multi_thread")]
async fn known_codings_are_decoded() {
    let origin = Origin::new(|request| async move {
        assert_eq!(request.headers()["accept-encoding"], "gzip, deflate");
        let data: Vec<u8> = DATA.repeat(5000);
        match request.uri().path() {
            "/gzip" => encoded("gzip", gzip(&data)),
            "/members" => encoded(
                "x-gzip",
                [gzip(&data[..100_000]), gzip(&data[100_000..])].concat(),
            ),
            "/zlib" => encoded("deflate", zlib(&data)),
            "/deflate" => encoded("Deflate", deflate(&data)),
            "/twice" => encoded("deflate, gzip", gzip(&zlib(&data))),
            "/identity" => encoded("identity", data),
            path => panic!("{path}"),
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    for path in ["gzip", "members", "zlib", "deflate", "twice", "identity"] {
        let outcome = outcome(&client, origin.url(path)).await;
        assert!(outcome.error.is_none(), "{path}: {:?}", outcome.error);
        let response = outcome.response.unwrap();
        assert_eq!(response.body, DATA.repeat(5000), "{path}");
        let is_kept = path == "identity";
        assert_eq!(
            response.headers.contains_key("content-encoding"),
            is_kept,
            "{path}"
        );
        assert_eq!(
            response.headers.contains_key("content-length"),
            is_kept,
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn raw_and_unknown_codings_are_passed_through() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/br" => encoded("br", "brotli"),
            "/zstd" => encoded("zstd", "zstd"),
            "/both" => encoded("gzip, br", "both"),
            _ => encoded("gzip", "any bytes"),
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    let url = origin.url("");
    for (request, coding, body) in [
        (Request::get(origin.url("br")), "br", "brotli"),
        (Request::get(origin.url("zstd")), "zstd", "zstd"),
        (Request::get(origin.url("both")), "gzip, br", "both"),
        (
            Request::get(&url).header("Accept-Encoding", "gzip"),
            "gzip",
            "any bytes",
        ),
        (
            Request::get(&url).header("Range", "bytes=0-"),
            "gzip",
            "any bytes",
        ),
        (Request::new("HEAD", &url), "gzip", ""),
    ] {
        let outcome = outcome(&client, request).await;
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let response = outcome.response.unwrap();
        assert_eq!(response.headers["content-encoding"], coding);
        assert!(response.headers.contains_key("content-length"));
        assert_eq!(response.body, body);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_encodings_are_decode_errors() {
    let origin = Origin::new(|request| async move {
        let whole = gzip(&DATA.repeat(1000));
        match request.uri().path() {
            "/garbage" => encoded("gzip", "this is not gzip"),
            "/cut" => encoded("gzip", whole[..whole.len() / 2].to_vec()),
            "/cut-deflate" => encoded("deflate", zlib(DATA)[..20].to_vec()),
            "/checksum" => {
                let mut wrong = whole;
                let place = wrong.len() - 6;
                wrong[place] ^= 0xff;
                encoded("gzip", wrong)
            }
            "/three" => encoded("gzip, gzip, gzip", gzip(&gzip(&gzip(DATA)))),
            path => panic!("{path}"),
        }
    })
    .await;
    let service = service().await;
    let bad = |name, path| row(name, origin.url(path), Reason::Decode, false);
    check(
        &service.client().await,
        vec![
            bad("garbage", "garbage"),
            bad("a truncated gzip", "cut"),
            bad("a truncated deflate", "cut-deflate"),
            bad("a wrong checksum", "checksum"),
            bad("more than two codings", "three"),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn endless_bodies_end_at_their_limit() {
    const LIMIT: u64 = 1 << 20;
    let bomb = gzip(&vec![0; 20 << 20]);
    assert!(bomb.len() < 21 << 10);
    let within = gzip(&gzip(&vec![0; 200 << 20]));
    let origin = Origin::new(move |request| {
        let (bomb, within) = (bomb.clone(), within.clone());
        async move {
            match request.uri().path() {
                "/endless" => endless(),
                "/bomb" => encoded("gzip", bomb),
                "/within" => encoded("gzip, gzip", within),
                path => panic!("{path}"),
            }
        }
    })
    .await;
    let large = "HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\nxxxx";
    let large =
        RawOrigin::endless(large.as_bytes(), &[b'x'; 4096], std::time::Duration::ZERO).await;
    // Use a separate process, so that we can measure its memory.
    let service = Process::serve(&[]);
    let client = Client::connect(&service.url).await.unwrap();
    let urls = [
        origin.url("endless"),
        origin.url("bomb"),
        origin.url("within"),
        large.url(),
    ];
    let limited = |url: &String| Request::get(url).max_body_bytes(LIMIT);
    let rows = urls
        .iter()
        .map(|url| row("too large", limited(url), Reason::BodyTooLarge, false));
    let outcomes = check(&client, rows.collect()).await;
    for outcome in &outcomes[..3] {
        assert_eq!(outcome.response.as_ref().unwrap().body.len() as u64, LIMIT);
    }
    let cut = urls.iter().map(|url| limited(url).truncate_body());
    let outcomes: Vec<_> = within_timeout(client.fetch(cut).outcomes().collect()).await;
    for outcome in outcomes {
        assert!(
            outcome.error.is_none() && outcome.stats.truncated,
            "{:?}",
            outcome.error
        );
        assert_eq!(outcome.response.unwrap().body.len() as u64, LIMIT);
    }
    let peak = service.peak_memory();
    assert!(peak < 40 << 20, "peak memory {peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_decodes_to_nothing_ends_at_its_timeout() {
    // Millions of members with nothing in them, so there's nothing to decode.
    let nothing = gzip(b"").repeat(4_000_000);
    let bomb = gzip(&nothing);
    drop(nothing);
    let origin = Origin::new(move |_| {
        let bomb = bomb.clone();
        async move { encoded("gzip, gzip", bomb) }
    })
    .await;
    let service = service().await;
    let timeout = std::time::Duration::from_millis(100);
    let requests = (0..4).map(|_| Request::get(origin.url("")).timeout(timeout));
    let rows = requests.map(|request| {
        let mut row = row("no decoded bytes", request, Reason::Timeout, true);
        row.attempts = 1;
        row
    });
    for outcome in check(&service.client().await, rows.collect()).await {
        assert!(
            outcome.stats.total.unwrap() < timeout * 3,
            "{:?}",
            outcome.stats
        );
    }
}
