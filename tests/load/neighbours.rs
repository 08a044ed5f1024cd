//! One caller takes as many batches, messages, slots and retries as it can get. The other
//! callers must not suffer from it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use fetchd::proto::{
    FetchBatchRequest, FetchOptions, ResultPart, fetch_service_client::FetchServiceClient,
};
use futures_util::{
    StreamExt,
    future::{join_all, ready},
    stream,
};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::task::JoinHandle;
use tonic::{Code, transport::Channel};

use crate::support::{
    Origin, Process,
    caller::{self, length_prefixed, loopback},
    eventually, gated_origin, http2,
    metrics::metrics,
    reply, requests, until, within_timeout,
};

// gRPC codes, as they appear in the `grpc-status` header.
const DEADLINE_EXCEEDED: &str = "4";
const RESOURCE_EXHAUSTED: &str = "8";

/// Makes a call and returns each request's last part.
async fn ends(
    client: &mut FetchServiceClient<Channel>,
    batch: FetchBatchRequest,
) -> Vec<ResultPart> {
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let mut ends = Vec::new();
    let read = async {
        while let Some(message) = messages.message().await.unwrap() {
            ends.extend(message.parts.into_iter().filter(|part| part.end.is_some()));
        }
    };
    within_timeout(read).await;
    ends
}

/// Checks that none of the requests failed.
fn assert_succeeded(ends: &[ResultPart]) {
    for part in ends {
        assert_eq!(part.end.as_ref().unwrap().error, None);
    }
}

fn batch(urls: impl IntoIterator<Item = String>) -> FetchBatchRequest {
    FetchBatchRequest {
        requests: requests(urls),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_many_batches_leaves_some_to_others() {
    let (origin, _gate) = gated_origin().await;
    let quick = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&[]);
    let mut open = Vec::new();
    // There may be 256 calls per connection.
    let mut greedy = Vec::new();
    for _ in 0..3 {
        greedy.push(caller::client(&service.url, loopback(2)).await);
    }
    'connections: for client in &mut greedy {
        for _ in 0..200 {
            match client.fetch_batch(batch([origin.url("")])).await {
                Ok(response) => open.push(response),
                Err(status) => {
                    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
                    break 'connections;
                }
            }
        }
    }
    assert_eq!(open.len(), 248);
    let mut next = caller::client(&service.url, loopback(1)).await;
    assert_succeeded(&ends(&mut next, batch(vec![quick.url(""); 10])).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_messages_leave_memory_to_other_callers() {
    const SENT: usize = 15_900_000;

    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&[]);
    let begin = |message: &Bytes| {
        let (url, message) = (service.url.clone(), message.clone());
        tokio::spawn(async move {
            let (mut calls, connection) = caller::connect(&url, loopback(2)).await;
            let first = Ok::<_, std::io::Error>(Frame::data(message));
            let frames = stream::once(ready(first)).chain(stream::pending());
            let body = StreamBody::new(frames);
            let response = calls.send_request(http2::call(BodyExt::boxed(body))).await;
            let (code, _) = http2::status(response.unwrap()).await;
            connection.abort();
            code
        })
    };
    let refused = |calls: &[JoinHandle<String>]| calls.iter().filter(|c| c.is_finished()).count();
    // As soon as calls are refused, we know that the caller has used up its share.
    let large = length_prefixed(16 << 20, &vec![0; SENT]);
    let mut unfinished: Vec<_> = (0..20).map(|_| begin(&large)).collect();
    until(|| refused(&unfinished) >= 4).await;
    // There isn't enough memory left for another large message, so use small ones to take
    // up the rest.
    let small = length_prefixed(1 << 20, &vec![0; SENT / 16]);
    let further: Vec<_> = (0..60).map(|_| begin(&small)).collect();
    until(|| refused(&further) >= 1).await;
    unfinished.extend(further);
    let mut next = caller::client(&service.url, loopback(1)).await;
    let mut whole = batch(vec![origin.url(""); 10]);
    whole.requests[0].body = vec![0; 2 << 20].into();
    whole.requests[0].method = "POST".to_owned();
    assert_succeeded(&ends(&mut next, whole).await);
    // The other caller doesn't have to wait until the unfinished messages time out.
    let open = unfinished.iter().filter(|call| !call.is_finished()).count();
    assert!(open >= 14, "{open}");
    let mut codes = Vec::new();
    for call in unfinished {
        codes.push(within_timeout(call).await.unwrap());
    }
    let count = |wanted: &str| codes.iter().filter(|code| *code == wanted).count();
    assert!(count(DEADLINE_EXCEEDED) >= 14, "{codes:?}");
    assert!(count(RESOURCE_EXHAUSTED) >= 4, "{codes:?}");
}

/// Reads a response until it ends, at `pace` bytes per second.
async fn read_slowly(url: String, from: u8, batch: FetchBatchRequest, pace: usize) {
    let stream = TokioIo::new(caller::stream(&url, loopback(from)).await.unwrap());
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    let (mut calls, connection) = builder.handshake(stream).await.unwrap();
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let call = http2::call(http2::full_body(http2::message(&batch)));
    let mut body = calls.send_request(call).await.unwrap().into_body();
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, Bytes::len);
        tokio::time::sleep(Duration::from_secs_f64(bytes as f64 / pace as f64)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_leave_slots_to_other_callers() {
    let large = Origin::new(|_| async { reply(vec![b'x'; 1 << 20]) }).await;
    let quick = Origin::new(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        reply("there")
    })
    .await;
    let service = Process::serve(&[]);
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let batch = FetchBatchRequest {
                concurrency: 512,
                ..batch(vec![large.url(""); 2000])
            };
            let reading = read_slowly(service.url.clone(), 2, batch, 10_000);
            tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reading))
        })
        .collect();
    eventually(async || metrics(&service.admin).await["fetchd_stalled"] > 400.0).await;
    let mut next = caller::client(&service.url, loopback(1)).await;
    assert_succeeded(&ends(&mut next, batch(vec![quick.url(""); 100])).await);
    println!("{} slots beside two slow readers", quick.peak());
    assert!(quick.peak() >= 16, "{}", quick.peak());
    assert!(slow.iter().all(|slow| !slow.is_finished()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_small_results_is_ended_if_others_wait() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/small" {
            return reply(vec![b'x'; 1000]);
        }
        std::future::pending().await
    })
    .await;
    let service = Process::serve(&["--stall-timeout", "2s", "--max-in-flight", "8"]);
    // Take all the other slots, and queue up for more.
    let mut waiting = caller::client(&service.url, loopback(1)).await;
    let _waiting = waiting.fetch_batch(batch(vec![origin.url(""); 100])).await;
    let small = FetchBatchRequest {
        concurrency: 8,
        ..batch(vec![origin.url("small"); 10_000])
    };
    let reading = read_slowly(service.url.clone(), 2, small, 8_000);
    let _reading = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reading));
    let ended = "fetchd_batches_total{code=\"RESOURCE_EXHAUSTED\"}";
    eventually(async || metrics(&service.admin).await.contains_key(ended)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_uses_up_its_retries_leaves_others_theirs() {
    let seen = Arc::new(Mutex::new(HashSet::new()));
    // `/fail` fails every time. All other paths fail only once.
    let origin = Origin::new(move |request| {
        let path = request.uri().path().to_owned();
        let is_first = seen.lock().unwrap().insert(path.clone());
        async move {
            let mut reply = reply("there");
            if is_first || path == "/fail" {
                *reply.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            }
            reply
        }
    })
    .await;
    let service = Process::serve(&[]);
    let mut failing = batch(vec![origin.url("fail"); 1000]);
    failing.options = Some(FetchOptions {
        max_attempts: Some(10),
        ..Default::default()
    });
    // This host refuses connections.
    failing
        .requests
        .extend(requests(vec!["http://127.0.0.9:1/"; 1000]));
    failing.concurrency = 512;
    let mut greedy = caller::client(&service.url, loopback(2)).await;
    let parts = ends(&mut greedy, failing.clone()).await;
    let attempts = |part: &ResultPart| part.end.as_ref().unwrap().attempts;
    let retries: u32 = parts.iter().map(|part| attempts(part) - 1).sum();
    let without = parts.iter().filter(|part| attempts(part) == 1).count();
    assert!(
        without > 1000,
        "expected the retries to be used up, but only {without} requests had none"
    );
    let going_on = tokio::spawn(async move {
        loop {
            ends(&mut greedy, failing.clone()).await;
        }
    });
    let mut next = caller::client(&service.url, loopback(1)).await;
    let parts = ends(&mut next, batch((0..20).map(|index| origin.url(index)))).await;
    going_on.abort();
    println!("the greedy caller had {retries} retries for 2,000 requests");
    assert_eq!(parts.len(), 20);
    for part in parts {
        let end = part.end.unwrap();
        assert_eq!((end.error, end.attempts), (None, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_many_batches_leaves_slots_to_others() {
    let (origin, _gate) = gated_origin().await;
    let quick = Origin::new(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        reply("there")
    })
    .await;
    let service = Process::serve(&["--max-in-flight", "256"]);
    // Sixty batches that never end. Together they have more requests than there are
    // slots.
    let mut greedy = caller::client(&service.url, loopback(2)).await;
    let open = join_all((0..60).map(|_| {
        let mut client = greedy.clone();
        let batch = batch(vec![origin.url(""); 100]);
        async move { client.fetch_batch(batch).await.unwrap() }
    }));
    let open = within_timeout(open).await;
    until(|| origin.in_flight() >= 192 + 30).await;
    let mut next = caller::client(&service.url, loopback(1)).await;
    let parts = ends(&mut next, batch(vec![quick.url(""); 100])).await;
    println!(
        "{} slots beside {} of another caller",
        quick.peak(),
        origin.in_flight()
    );
    assert_eq!(parts.len(), 100);
    // One caller has to leave a thirty-second of the 192 shared slots to others. On top
    // of that, each batch has a slot of its own.
    assert!(quick.peak() > 192 / 32, "{}", quick.peak());
    drop((open, greedy.fetch_batch(FetchBatchRequest::default())));
}
