//! Floods of HTTP/2 frames. Each of them costs the caller little, and could cost the
//! service a lot. The service either closes the connection or reads it slowly. It must
//! not use much memory, and other callers must get their results promptly.

use std::time::{Duration, Instant};

use bytes::BufMut;
use fetchd::{client::Client, proto::FetchBatchRequest};
use futures_util::future::join_all;

use crate::support::{
    Origin, Process,
    caller::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, FrameWriter, HEADERS, PING, PRIORITY,
        RST_STREAM, SETTINGS, WINDOW_UPDATE, header_block, loopback, put_frame,
    },
    http2, reply, requests, within_timeout,
};

const FETCH_BATCH: &str = "/fetchd.v1.FetchService/FetchBatch";
const HEALTH_CHECK: &str = "/grpc.health.v1.Health/Check";

/// How many connections flood the service at once.
const CONNECTIONS: usize = 4;

/// How much memory a flood may take.
const MAX_MEMORY: u64 = 96 << 20;

/// How long another caller's batch of one request may take. There's no flood beside which
/// it takes more than 0.3 s, unless the machine is busy with other tests as well.
const MAX_LATENCY: Duration = Duration::from_secs(5);

/// Writes the frames of the nth part of a flood.
type Flood = Box<dyn Fn(u32, &mut Vec<u8>) + Sync>;

/// Writes `frames` to a connection, part by part. Waits until the service has read
/// everything, or has closed the connection. Returns true if it has closed it.
async fn flood(service: &Process, parts: u32, frames: &Flood) -> bool {
    let mut caller = FrameWriter::open(&service.url, loopback(2)).await;
    for part in 0..parts {
        let mut bytes = Vec::new();
        frames(part, &mut bytes);
        if caller.write_all(&bytes).await.is_err() {
            return true;
        }
    }
    !caller.ping().await
}

/// Floods the service while another caller makes batches. Returns how many connections
/// were closed.
async fn flooded(name: &str, parts: u32, frames: Flood) -> usize {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&[]);
    let client = Client::connect(&service.url).await.unwrap();
    client.fetch_all([origin.url("")]).await;
    let base = service.memory();
    let flooding = join_all((0..CONNECTIONS).map(|_| flood(&service, parts, &frames)));
    let mut flooding = std::pin::pin!(flooding);
    let (mut batches, mut slowest) = (0, Duration::ZERO);
    let closed = within_timeout(async {
        loop {
            let begun = Instant::now();
            let batch = async {
                assert!(client.fetch_all([origin.url("")]).await[0].is_ok());
                begun.elapsed()
            };
            let mut batch = std::pin::pin!(batch);
            let (took, closed) = tokio::select! {
                took = &mut batch => (took, None),
                closed = &mut flooding => (batch.await, Some(closed)),
            };
            batches += 1;
            slowest = slowest.max(took);
            if let Some(closed) = closed {
                return closed.into_iter().filter(|is_closed| *is_closed).count();
            }
        }
    })
    .await;
    let cost = service.peak_memory().saturating_sub(base);
    println!(
        "{name}: {closed} of {CONNECTIONS} connections closed, {} MiB, the slowest of {batches} \
         batches took {slowest:?}",
        cost >> 20
    );
    assert!(cost < MAX_MEMORY, "{name}: {cost}");
    assert!(slowest < MAX_LATENCY, "{name}: {slowest:?}");
    closed
}

/// Returns a flood that repeats a frame.
fn repeated(kind: u8, flags: u8, stream: u32, payload: Vec<u8>) -> Flood {
    Box::new(move |_, out| {
        for _ in 0..1000 {
            put_frame(kind, flags, stream, &payload, out);
        }
    })
}

/// Returns a flood of calls with `headers` and `message`. After each of them comes a
/// frame that makes either side reset it.
fn of_calls(path: &str, headers: &[(&str, &str)], message: Vec<u8>, reset: (u8, u32)) -> Flood {
    let block = header_block(path, headers);
    Box::new(move |part, out| {
        for call in 0..50 {
            let stream = 1 + 2 * (50 * part + call);
            put_block(stream, &block, out);
            if !message.is_empty() {
                put_frame(DATA, END_STREAM, stream, &message, out);
            }
            put_frame(reset.0, 0, stream, &reset.1.to_be_bytes(), out);
        }
    })
}

/// Writes a header block as frames of the usual maximum size.
fn put_block(stream: u32, block: &[u8], out: &mut Vec<u8>) {
    let frames = block.chunks(16 << 10);
    let last = frames.len() - 1;
    for (index, payload) in frames.enumerate() {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let flags = if index == last { END_HEADERS } else { 0 };
        put_frame(kind, flags, stream, payload, out);
    }
}

/// Returns a flood that starts a call and then repeats a frame on its stream.
fn in_call(kind: u8, flags: u8, payload: Vec<u8>) -> Flood {
    let is_block = kind == CONTINUATION;
    Box::new(move |part, out| {
        if part == 0 {
            let flags = if is_block { 0 } else { END_HEADERS };
            put_frame(HEADERS, flags, 1, &header_block(FETCH_BATCH, &[]), out);
        }
        for _ in 0..1000 {
            put_frame(kind, flags, 1, &payload, out);
        }
    })
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    let mut setting = Vec::new();
    setting.put_u16(id);
    setting.put_u32(value);
    setting
}

const CANCEL: (u8, u32) = (RST_STREAM, 8);

#[tokio::test(flavor = "multi_thread")]
async fn floods_that_break_the_protocol_close_the_connection() {
    let too_much = 0x7fff_ffff_u32;
    let call = http2::message(&FetchBatchRequest::default()).to_vec();
    for (name, frames) in [
        ("empty DATA", in_call(DATA, 0, Vec::new())),
        ("empty CONTINUATION", in_call(CONTINUATION, 0, Vec::new())),
        (
            "CONTINUATION",
            in_call(CONTINUATION, 0, header_block("x", &[])),
        ),
        (
            "WINDOW_UPDATE beyond the maximum",
            repeated(WINDOW_UPDATE, 0, 0, too_much.to_be_bytes().to_vec()),
        ),
        (
            "unasked SETTINGS acks",
            repeated(SETTINGS, ACK, 0, Vec::new()),
        ),
        (
            // The caller makes the service reset each call (CVE-2025-8671).
            "WINDOW_UPDATE beyond the maximum, for each call",
            of_calls(FETCH_BATCH, &[], call, (WINDOW_UPDATE, too_much)),
        ),
        (
            "calls that depend on themselves",
            Box::new(|part, out| {
                for call in 0..50 {
                    let stream: u32 = 1 + 2 * (50 * part + call);
                    put_block(stream, &header_block(FETCH_BATCH, &[]), out);
                    let payload = [&stream.to_be_bytes()[..], &[1]].concat();
                    put_frame(PRIORITY, 0, stream, &payload, out);
                }
            }),
        ),
    ] {
        let closed = flooded(name, 200, frames).await;
        assert_eq!(closed, CONNECTIONS, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_valid_frames_slow_no_other_caller_down() {
    let windows = [setting(4, 0), setting(4, 0x7fff_ffff)].concat();
    for (name, frames) in [
        ("PING", repeated(PING, 0, 0, vec![0; 8])),
        ("unasked PING acks", repeated(PING, ACK, 0, vec![1; 8])),
        ("SETTINGS", repeated(SETTINGS, 0, 0, setting(3, 100))),
        ("SETTINGS of two windows", repeated(SETTINGS, 0, 0, windows)),
        (
            "SETTINGS of table sizes",
            repeated(SETTINGS, 0, 0, [setting(1, 0), setting(1, 4096)].concat()),
        ),
        ("PRIORITY", repeated(PRIORITY, 0, 1, vec![0, 0, 0, 0, 1])),
        (
            "WINDOW_UPDATE",
            repeated(WINDOW_UPDATE, 0, 0, vec![0, 0, 0, 1]),
        ),
        ("unknown frames", repeated(0x50, 0, 0, vec![0; 100])),
    ] {
        flooded(name, 40, frames).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_are_reset_at_once_take_little_memory() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let batch = FetchBatchRequest {
        requests: requests([origin.url("")]),
        ..Default::default()
    };
    // That's almost as large as we accept.
    let value = "x".repeat(1000);
    let headers: Vec<_> = (0..15).map(|line| format!("x-{line}")).collect();
    let headers: Vec<_> = headers
        .iter()
        .map(|name| (name.as_str(), value.as_str()))
        .collect();
    for (name, path, headers, message) in [
        (
            "batches",
            FETCH_BATCH,
            &[][..],
            http2::message(&batch).to_vec(),
        ),
        (
            "batches with large headers",
            FETCH_BATCH,
            &headers,
            Vec::new(),
        ),
        (
            "checks with large headers",
            HEALTH_CHECK,
            &headers,
            Vec::new(),
        ),
        ("calls of no method", "/in.test/None", &headers, Vec::new()),
    ] {
        // 20,000 calls. If each one kept its headers, they'd take 900 MiB.
        flooded(name, 100, of_calls(path, headers, message, CANCEL)).await;
    }
}
