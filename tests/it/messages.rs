//! Messages made to take a lot more memory than their size suggests. Either they're
//! refused, or they don't take more than their own bytes.

use std::io::Write;

use bytes::{Bytes, BytesMut};
use fetchd::proto::{FetchBatchRequest, FetchRequest};
use flate2::{Compression, write::GzEncoder};
use futures_util::future::join_all;
use http::Response;
use hyper::body::Incoming;
use prost::Message;

use crate::support::{
    Origin, Process,
    caller::{self, FrameWriter, length_prefixed, loopback},
    http2,
    metrics::metrics,
    requests, service, until, within_timeout,
};

const INVALID_ARGUMENT: &str = "3";
const UNIMPLEMENTED: &str = "12";

/// Sends `message` on a new connection from `from`. Returns the gRPC code and message.
async fn answer(service: &Process, from: u8, message: Bytes) -> (String, String) {
    let (mut calls, connection) = caller::connect(&service.url, loopback(from)).await;
    let call = http2::call(http2::full_body(length_prefixed(message.len(), &message)));
    let response = within_timeout(calls.send_request(call)).await.unwrap();
    let status = within_timeout(http2::status(response)).await;
    connection.abort();
    status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_message_is_an_invalid_argument() {
    let service = service().await;
    let (mut calls, connection) = http2::connect(&service.url).await;
    let nested = |depth: usize| {
        b"\x7b"
            .repeat(depth)
            .into_iter()
            .chain(b"\x7c".repeat(depth))
    };
    let deep: Vec<u8> = nested(1000).collect();
    let in_request = |inner: &[u8]| {
        let mut message = vec![0x0a];
        prost::encoding::encode_varint(inner.len() as u64, &mut message);
        [message, inner.to_vec()].concat()
    };
    for (name, message) in [
        ("an unfinished varint", b"\x18\xff".to_vec()),
        ("a varint of 11 bytes", [&b"\x18"[..], &[0xff; 11]].concat()),
        ("requests as a number", b"\x08\x01".to_vec()),
        ("a number as bytes", b"\x1a\x01x".to_vec()),
        ("a length beyond the message", b"\x0a\x7f".to_vec()),
        ("an end without a group", b"\x7c".to_vec()),
        ("the end of another group", b"\x7b\x84\x01".to_vec()),
        ("an unfinished group", b"\x7b".to_vec()),
        ("nested groups", deep.clone()),
        ("nested groups in a request", in_request(&deep)),
        ("the field 0", b"\x02\x00".to_vec()),
        ("an unknown wire type", b"\x0e".to_vec()),
        ("a URL that is not UTF-8", in_request(b"\x0a\x02\xff\xfe")),
        ("a method that is not UTF-8", in_request(b"\x12\x01\xff")),
        ("a URL as a number", in_request(b"\x08\x01")),
        ("a header line as a number", in_request(b"\x18\x01")),
        ("a header line cut short", in_request(b"\x1a\x03\x0a\x05x")),
        (
            "a name that is not UTF-8",
            in_request(b"\x1a\x03\x0a\x01\xff"),
        ),
        ("options cut short", in_request(b"\x2a\x02\x0a\x7f")),
        (
            "options of the batch cut short",
            b"\x12\x02\x0a\x7f".to_vec(),
        ),
        ("a timeout as text", b"\x22\x02\x0a\x00".to_vec()),
    ] {
        let call = http2::call(http2::full_body(length_prefixed(message.len(), &message)));
        let response = within_timeout(calls.send_request(call)).await.unwrap();
        let (code, text) = http2::status(response).await;
        assert_eq!(code, INVALID_ARGUMENT, "{name}: {text}");
        assert!(text.contains("FetchBatchRequest"), "{name}: {text}");
    }
    // We skip unknown fields, and this includes groups.
    let shallow: Vec<u8> = nested(50).collect();
    let call = http2::call(http2::full_body(length_prefixed(shallow.len(), &shallow)));
    let response = within_timeout(calls.send_request(call)).await.unwrap();
    assert_eq!(http2::status(response).await.0, "0");
    connection.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_message_is_answered_with_the_accepted_encoding() {
    let service = service().await;
    let (mut calls, connection) = http2::connect(&service.url).await;
    let health = "http://in.test/grpc.health.v1.Health/Check";
    for path in ["http://in.test/fetchd.v1.FetchService/FetchBatch", health] {
        // An empty message.
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(b"").unwrap();
        let bytes = gzip.finish().unwrap();
        let mut message = length_prefixed(bytes.len(), &bytes).to_vec();
        message[0] = 1;
        let mut call = http2::call(http2::full_body(message));
        *call.uri_mut() = path.parse().unwrap();
        let headers = call.headers_mut();
        headers.insert("grpc-encoding", "gzip".parse().unwrap());
        headers.insert("grpc-accept-encoding", "gzip".parse().unwrap());
        let response = within_timeout(calls.send_request(call)).await.unwrap();
        assert_eq!(response.headers()["grpc-accept-encoding"], "identity");
        assert_eq!(http2::status(response).await.0, UNIMPLEMENTED, "{path}");
    }

    // A caller that could compress, but doesn't, is fine.
    let mut call = http2::call(http2::full_body(length_prefixed(0, b"")));
    let headers = call.headers_mut();
    headers.insert("grpc-encoding", "gzip".parse().unwrap());
    headers.insert("grpc-accept-encoding", "gzip".parse().unwrap());
    let response = within_timeout(calls.send_request(call)).await.unwrap();
    assert_eq!(response.headers().get("grpc-encoding"), None);
    assert_eq!(http2::status(response).await.0, "0");
    connection.abort();
}

/// Repeats `bytes` up to `size`, but leaves 64 bytes for the fields that come before.
fn repeated(bytes: &[u8], size: usize) -> Vec<u8> {
    bytes.repeat((size - 64) / bytes.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_behind_an_unknown_field_are_counted() {
    let service = Process::serve(&[]);
    // A group with an unknown field, followed by 8.38 million empty requests.
    let message = [b"\x7b\x7c", &repeated(b"\x0a\x00", 16 << 20)[..]].concat();
    let base = service.peak_memory();
    let (code, text) = answer(&service, 1, message.into()).await;
    assert_eq!(code, INVALID_ARGUMENT, "{text}");
    assert!(text.contains("too"), "{text}");
    let cost = service.peak_memory() - base;
    println!("8.38 million requests behind a group: {} MiB", cost >> 20);
    assert!(cost < 40 << 20, "{cost}");
}

/// Returns a message with a single request. After its URL come `lines`.
fn with_lines(url: &str, lines: &[u8]) -> Bytes {
    let mut request = FetchRequest {
        url: url.to_owned(),
        ..FetchRequest::default()
    }
    .encode_to_vec();
    request.extend_from_slice(lines);
    let mut message = BytesMut::new();
    prost::encoding::encode_key(1, prost::encoding::WireType::LengthDelimited, &mut message);
    prost::encoding::encode_varint(request.len() as u64, &mut message);
    message.extend_from_slice(&request);
    message.freeze()
}

/// Opens a call. It ends when the returned value is dropped.
async fn open(service: &Process, from: u8, message: &Bytes) -> impl Sized + use<> {
    let (mut calls, connection) = caller::connect(&service.url, loopback(from)).await;
    let call = http2::call(http2::full_body(length_prefixed(message.len(), message)));
    let response: Response<Incoming> = within_timeout(calls.send_request(call)).await.unwrap();
    let status = response.headers().get("grpc-message");
    assert_eq!(status, None, "a call was refused");
    (response, calls, connection)
}

/// Returns how much memory `message` takes while its requests are waiting for a slot.
async fn cost_of_lines(origin: &Origin, message: &Bytes) -> u64 {
    // There are two batches, and each has a reserved slot. The first batch has the rest
    // as well.
    let service = Process::serve(&["--max-in-flight", "4", "--max-batches", "2"]);
    let first = FetchBatchRequest {
        requests: requests(vec![origin.url(""); 4]),
        ..Default::default()
    };
    // Wait until the previous service's connections are closed.
    until(|| origin.in_flight() == 0).await;
    let base = service.peak_memory();
    let _first = open(&service, 1, &first.encode_to_vec().into()).await;
    until(|| origin.in_flight() == 3).await;
    // Once the response begins, we know that the service has read the message.
    let _waiting = open(&service, 2, message).await;
    service.peak_memory() - base
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_header_lines_take_no_more_than_their_bytes() {
    const SIZE: usize = 4 << 20;

    let origin = Origin::new(|_| std::future::pending()).await;
    // 1,000 lines, which is the limit. All names are a single byte, and the values are
    // empty.
    let tiny = with_lines(&origin.url(""), &b"\x1a\x03\x0a\x01x".repeat(1000));
    let empty = with_lines(&origin.url(""), &repeated(b"\x1a\x00", SIZE));
    let messages = [
        ("of one byte", repeated(&tiny, SIZE).into()),
        ("without bytes", empty),
    ];
    for (lines, message) in messages {
        let cost = cost_of_lines(&origin, &message).await;
        println!(
            "a message of {} MiB of header lines {lines}: {} MiB",
            SIZE >> 20,
            cost >> 20
        );
        assert!(cost < 10 << 20, "{lines}: {cost}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_tiny_frames_takes_a_bounded_multiple_of_its_bytes() {
    // If all frames are sent at once, the service closes the connection. If we only send
    // them as fast as it reads, it keeps the message.
    for (connections, sent, at_once) in [(8, 1 << 20, 1 << 20), (8, 96 << 10, 500)] {
        let bytes = vec![0; sent];
        let service = Process::serve(&[]);
        let one_by_one = || async {
            let mut frames = FrameWriter::open(&service.url, loopback(1)).await;
            frames.start_call(1).await.unwrap();
            let start = length_prefixed(1 << 20, &bytes[..sent - 1000]);
            for burst in start.chunks(at_once) {
                if frames.send_data(1, burst, 1).await.is_err() || !frames.ping().await {
                    return None;
                }
            }
            Some(frames)
        };
        let base = service.memory();
        let open = within_timeout(join_all((0..connections).map(|_| one_by_one()))).await;
        let held = open.iter().flatten().count();
        let cost = service.peak_memory().saturating_sub(base);
        println!(
            "{connections} messages of {} KiB in frames of a byte, {at_once} at once: {held} are \
             held, and take {} KiB each",
            sent >> 10,
            (cost >> 10) / connections as u64
        );
        // In addition, there are some buffers per connection.
        let most = connections * (3 * sent + (512 << 10));
        assert!(cost < most as u64, "{cost}");
        assert!(at_once == sent || held > 0, "{held}");
    }
}

/// Opens as many batches as possible, each with `count` requests waiting. Returns how
/// much memory they take.
async fn cost_of_waiting(count: usize, concurrency: u32) -> u64 {
    const BATCHES: usize = 256;

    let origin = Origin::new(|_| std::future::pending()).await;
    let service = Process::serve(&[]);
    let message = FetchBatchRequest {
        requests: requests(vec![origin.url(""); count]),
        concurrency,
        ..Default::default()
    };
    let message = Bytes::from(message.encode_to_vec());
    let base = service.peak_memory();
    // A single caller may have 31 of every 32 batches. The next one then gets 31 of every
    // 32 that are left.
    let callers = [(1, 248), (2, 7), (3, 1)];
    let mut all = Vec::new();
    for (caller, batches) in callers {
        let (mut calls, connection) = caller::connect(&service.url, loopback(caller)).await;
        for _ in 0..batches {
            let call = http2::call(http2::full_body(length_prefixed(message.len(), &message)));
            let response = within_timeout(calls.send_request(call)).await.unwrap();
            let status = response.headers().get("grpc-message");
            assert_eq!(status, None, "a call was refused");
            all.push(response);
        }
        // Don't close the calls.
        std::mem::forget((calls, connection));
    }
    assert_eq!(all.len(), BATCHES);
    until(|| origin.in_flight() == 1024).await;
    let queued = metrics(&service.admin).await["fetchd_fetches_queued"];
    assert_eq!(queued, (BATCHES * count - 1024) as f64);
    let cost = service.peak_memory() - base;
    println!(
        "{BATCHES} batches of {count} requests: {} MiB, {} bytes a request, of which {} are its own",
        cost >> 20,
        cost / (BATCHES * count) as u64,
        message.len() / count
    );
    cost
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_requests_take_no_more_than_their_bytes_at_any_concurrency() {
    assert!(cost_of_waiting(512, 512).await < 100 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_million_waiting_requests_take_no_more_than_their_bytes() {
    assert!(cost_of_waiting(2_000, 50).await < 120 << 20);
}
