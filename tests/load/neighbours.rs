//! Callers beside one that takes all it can get: batches, messages, slots, retries.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

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
use tonic::{Code, transport::Channel};

use crate::support::{
    Origin, Process,
    caller::{self, address, prefixed},
    held, http2,
    metrics::metrics,
    patiently, reply, requests, until,
};

/// All ends of a call of `client`.
async fn ends(
    client: &mut FetchServiceClient<Channel>,
    batch: FetchBatchRequest,
) -> Vec<ResultPart> {
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let mut ends = Vec::new();
    while let Some(message) = patiently(messages.message()).await.unwrap() {
        ends.extend(message.parts.into_iter().filter(|part| part.end.is_some()));
    }
    ends
}

fn batch(urls: impl IntoIterator<Item = String>) -> FetchBatchRequest {
    FetchBatchRequest {
        requests: requests(urls),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_with_all_the_batches_it_can_get_leaves_some_to_the_next() {
    let (origin, _gate) = held().await;
    let quick = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&[]);
    let mut open = Vec::new();
    // On several connections, each of which may have 256 calls.
    let mut greedy = Vec::new();
    for _ in 0..3 {
        greedy.push(caller::client(&service.url, address(2)).await);
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
    let begun = Instant::now();
    let mut next = caller::client(&service.url, address(1)).await;
    let parts = ends(&mut next, batch(vec![quick.url(""); 10])).await;
    assert!(
        parts
            .iter()
            .all(|part| part.end.as_ref().unwrap().error.is_none())
    );
    println!(
        "beside {} batches of another caller: served in {:?}",
        open.len(),
        begun.elapsed()
    );
    assert_eq!(open.len(), 248);
    assert!(begun.elapsed() < Duration::from_secs(2));
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_that_are_never_finished_leave_room_to_the_next_caller() {
    const SENT: usize = 15_900_000;

    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&[]);
    let large = prefixed(16 << 20, &vec![0; SENT]);
    let small = prefixed(1 << 20, &vec![0; SENT / 16]);
    let begun = Instant::now();
    let unfinished: Vec<_> = (0..60)
        .map(|index| {
            // What the large ones leave, the small ones take.
            let message = if index < 20 { &large } else { &small };
            let (url, message) = (service.url.clone(), message.clone());
            tokio::spawn(async move {
                let (mut calls, connection) = caller::connect(&url, address(2)).await;
                let first = Ok::<_, std::io::Error>(Frame::data(message));
                let frames = stream::once(ready(first)).chain(stream::pending());
                let body = StreamBody::new(frames);
                let response = calls.send_request(http2::call(BodyExt::boxed(body))).await;
                let status = http2::status(response.unwrap()).await;
                connection.abort();
                (status, Instant::now())
            })
        })
        .collect();
    // All that the caller may have is taken, once calls are refused.
    until(|| unfinished.iter().filter(|call| call.is_finished()).count() > 5).await;
    println!("taken after {:?}", begun.elapsed());
    let since = Instant::now();
    let mut next = caller::client(&service.url, address(1)).await;
    let mut whole = batch(vec![origin.url(""); 10]);
    whole.requests[0].body = vec![0; 2 << 20].into();
    whole.requests[0].method = "POST".to_owned();
    let parts = ends(&mut next, whole).await;
    assert!(
        parts
            .iter()
            .all(|part| part.end.as_ref().unwrap().error.is_none())
    );
    let served = since.elapsed();
    let mut codes = Vec::new();
    for call in unfinished {
        let ((code, _), ended) = patiently(call).await.unwrap();
        codes.push((code, ended - begun));
    }
    let late = codes.iter().filter(|(code, _)| code == "4");
    let last = late.clone().map(|(_, ended)| *ended).max().unwrap();
    println!(
        "beside {} unfinished messages: served in {served:?}; the last given up after {last:?}",
        late.clone().count()
    );
    assert!(served < Duration::from_secs(2), "{served:?}");
    assert!(
        late.count() >= 14 && last < Duration::from_secs(15),
        "{codes:?}"
    );
    let refused = codes.iter().filter(|(code, _)| code == "8").count();
    assert!(refused >= 4, "{codes:?}");
}

/// Reads a response from `from` at `pace` bytes a second, until its end.
async fn read_slowly(url: String, from: u8, batch: FetchBatchRequest, pace: usize) {
    let stream = TokioIo::new(caller::stream(&url, address(from)).await.unwrap());
    let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder
        .initial_stream_window_size(65_535)
        .initial_connection_window_size(65_535);
    let (mut calls, connection) = builder.handshake(stream).await.unwrap();
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let call = http2::call(http2::whole(http2::message(&batch)));
    let mut body = calls.send_request(call).await.unwrap().into_body();
    while let Some(Ok(frame)) = body.frame().await {
        let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
        tokio::time::sleep(Duration::from_secs_f64(bytes as f64 / pace as f64)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_leave_slots_to_the_next_caller() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/large" {
            return reply(vec![b'x'; 1 << 20]);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        reply("there")
    })
    .await;
    let service = Process::serve(&[]);
    let hundred = || batch(vec![origin.url(""); 100]);
    let mut next = caller::client(&service.url, address(1)).await;
    let begun = Instant::now();
    ends(&mut next, hundred()).await;
    let alone = begun.elapsed();
    let slow: Vec<_> = (0..2)
        .map(|_| {
            let large = FetchBatchRequest {
                concurrency: 512,
                ..batch(vec![origin.url("large"); 2000])
            };
            let reading = read_slowly(service.url.clone(), 2, large, 10_000);
            tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reading))
        })
        .collect();
    let taken = patiently(async {
        loop {
            let now = metrics(&service.admin).await;
            if now["fetchd_stalled"] > 400.0 {
                break now["fetchd_fetches_in_flight"];
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    let begun = Instant::now();
    let parts = ends(&mut next, hundred()).await;
    let beside = begun.elapsed();
    println!("beside two slow readers with {taken} slots: {beside:?}; alone {alone:?}");
    assert!(
        parts
            .iter()
            .all(|part| part.end.as_ref().unwrap().error.is_none())
    );
    assert!(beside < Duration::from_secs(3), "{beside:?}");
    assert!(slow.iter().all(|slow| !slow.is_finished()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_of_small_results_is_given_up_if_others_wait() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/small" {
            return reply(vec![b'x'; 1000]);
        }
        std::future::pending().await
    })
    .await;
    let service = Process::serve(&["--stall-timeout", "2s", "--max-in-flight", "8"]);
    // More of them than there are slots, for as long as it takes.
    let mut waiting = caller::client(&service.url, address(1)).await;
    let _waiting = waiting.fetch_batch(batch(vec![origin.url(""); 100])).await;
    let small = FetchBatchRequest {
        concurrency: 8,
        ..batch(vec![origin.url("small"); 10_000])
    };
    let reading = read_slowly(service.url.clone(), 2, small, 8_000);
    let _reading = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(reading));
    let given_up = "fetchd_batches_total{code=\"RESOURCE_EXHAUSTED\"}";
    let begun = Instant::now();
    patiently(async {
        while !metrics(&service.admin).await.contains_key(given_up) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    println!("a slow reader was given up after {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_uses_up_its_retries_leaves_those_of_the_next() {
    let seen = Arc::new(Mutex::new(HashSet::new()));
    // `/fail` fails always, any other path once.
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
    // A host that is not there, as well.
    failing
        .requests
        .extend(requests(vec!["http://127.0.0.9:1/"; 1000]));
    failing.concurrency = 512;
    let mut greedy = caller::client(&service.url, address(2)).await;
    let parts = ends(&mut greedy, failing.clone()).await;
    let attempts = |part: &ResultPart| part.end.as_ref().unwrap().attempts;
    let retries: u32 = parts.iter().map(|part| attempts(part) - 1).sum();
    let without = parts.iter().filter(|part| attempts(part) == 1).count();
    assert!(without > 1000, "its retries are used up");
    // It goes on.
    let going_on = tokio::spawn(async move {
        loop {
            ends(&mut greedy, failing.clone()).await;
        }
    });
    let mut next = caller::client(&service.url, address(1)).await;
    let parts = ends(&mut next, batch((0..20).map(|index| origin.url(index)))).await;
    going_on.abort();
    println!("beside a caller that had {retries} retries for 2,000 requests");
    assert_eq!(parts.len(), 20);
    for part in parts {
        let end = part.end.unwrap();
        assert_eq!((end.error, end.attempts), (None, 2));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_with_many_batches_get_no_more_slots_than_others() {
    let (origin, _gate) = held().await;
    let quick = Origin::new(|_| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        reply("there")
    })
    .await;
    let service = Process::serve(&["--max-in-flight", "256"]);
    // Sixty batches that never end, and would take every slot.
    let mut greedy = caller::client(&service.url, address(2)).await;
    let open = join_all((0..60).map(|_| {
        let mut client = greedy.clone();
        let batch = batch(vec![origin.url(""); 100]);
        async move { client.fetch_batch(batch).await.unwrap() }
    }));
    let open = patiently(open).await;
    until(|| origin.open() >= 192 + 30).await;
    let mut next = caller::client(&service.url, address(1)).await;
    let begun = Instant::now();
    let parts = ends(&mut next, batch(vec![quick.url(""); 100])).await;
    let beside = begun.elapsed();
    println!(
        "beside {} slots of another caller: {beside:?}",
        origin.open()
    );
    assert_eq!(parts.len(), 100);
    assert!(beside < Duration::from_secs(3), "{beside:?}");
    drop((open, greedy.fetch_batch(FetchBatchRequest::default())));
}
