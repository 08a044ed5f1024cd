//! Bodies of any size, and callers that stop reading or leave.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use fetchd::{
    client::{Client, Error, Request},
    proto::{FetchBatchRequest, Reason},
};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::{Response, body::Frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
};

use crate::support::{
    Origin, Process, Reply, TEST_TIMEOUT, eventually, metrics::metrics, raw_client, reply,
    requests, service, until, within_timeout,
};

/// Returns a response of `count` chunks. Chunks are only made when they're about to be
/// sent.
fn chunks(count: usize, make: impl Fn(usize) -> Bytes + Send + Sync + 'static) -> Reply {
    let frames = (0..count).map(move |index| Ok::<_, Infallible>(Frame::data(make(index))));
    Response::new(BodyExt::boxed(StreamBody::new(stream::iter(frames))))
}

/// Returns 64 KiB. No two chunks in a row are the same.
fn chunk(index: usize) -> Bytes {
    vec![(index % 251) as u8; 64 << 10].into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_a_gibibyte_needs_little_memory() {
    const CHUNKS: usize = (1 << 30) / (64 << 10);
    let origin = Origin::new(|_| async { chunks(CHUNKS, chunk) }).await;
    let service = Process::serve(&[]);
    let client = Client::connect(&service.url).await.unwrap();

    let request = Request::get(origin.url("")).max_body_bytes(1 << 30);
    let mut body = client.execute(request).await.unwrap().bytes_stream();
    let (mut received, mut checksum) = (0, crc32fast::Hasher::new());
    while let Some(bytes) = within_timeout(body.next()).await {
        let bytes = bytes.unwrap();
        received += bytes.len();
        checksum.update(&bytes);
    }
    let mut expected = crc32fast::Hasher::new();
    (0..CHUNKS).for_each(|index| expected.update(&chunk(index)));
    assert_eq!(received, 1 << 30);
    assert_eq!(checksum.finalize(), expected.finalize());
    let peak = service.peak_memory();
    println!("peak memory {} KiB", peak >> 10);
    assert!(peak < 50 << 20, "peak memory {peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn origins_are_not_read_while_the_caller_does_not_read() {
    const BODIES: usize = 500;
    const CHUNKS: usize = 16;
    let taken = Arc::new(AtomicUsize::new(0));
    let taking = Arc::clone(&taken);
    let origin = Origin::new(move |_| {
        let taking = Arc::clone(&taking);
        async move {
            chunks(CHUNKS, move |index| {
                taking.fetch_add(1, Ordering::SeqCst);
                chunk(index)
            })
        }
    })
    .await;
    let service = Process::serve(&[]);
    let mut client = raw_client(&service.url).await;
    let batch = FetchBatchRequest {
        requests: requests((0..BODIES).map(|_| origin.url(""))),
        ..Default::default()
    };
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let mut bytes = [0; BODIES];
    let mut ends = 0;
    let mut take = |message: fetchd::proto::FetchBatchResponse| {
        for part in message.parts {
            bytes[part.index as usize] += part.body.len();
            ends += usize::from(part.end.is_some());
        }
        ends
    };
    while take(within_timeout(messages.message()).await.unwrap().unwrap()) == 0 {}

    // Nobody reads the result, so all workers stop reading from the origin.
    eventually(async || metrics(&service.admin).await["fetchd_stalled"] == 50.0).await;
    let stalled = taken.load(Ordering::SeqCst);
    assert!(stalled < BODIES * CHUNKS / 2, "{stalled} chunks were taken");

    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        take(message);
    }
    assert_eq!(bytes, [CHUNKS * (64 << 10); BODIES]);
    let peak = service.peak_memory();
    println!("peak memory {} KiB", peak >> 10);
    assert!(peak < 60 << 20, "peak memory {peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fetches_of_a_caller_that_leaves_are_stopped() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(AtomicUsize::new(0));
    let (closed, mut closings) = mpsc::unbounded_channel();
    let count = Arc::clone(&seen);
    // Only answer the first request. All the others end when the service closes the
    // connection.
    let accepting = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (count, closed) = (Arc::clone(&count), closed.clone());
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let mut waiting = false;
                while let Ok(1..) = stream.read(&mut buffer).await {
                    waiting = count.fetch_add(1, Ordering::SeqCst) > 0;
                    if !waiting {
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                        stream.write_all(answer).await.unwrap();
                    }
                }
                if waiting {
                    let _ = closed.send(());
                }
            });
        }
    });
    let service = service().await;
    let client = service.client().await;
    // The timeouts are so long that the test would fail before any of them ends a fetch.
    let requests = (0..500).map(|index| {
        Request::get(format!("http://{address}/{index}"))
            .timeout(2 * TEST_TIMEOUT)
            .idle_timeout(2 * TEST_TIMEOUT)
    });
    let mut results = client.fetch(requests).outcomes();
    assert!(
        within_timeout(results.next())
            .await
            .unwrap()
            .error
            .is_none()
    );
    // All 50 slots are waiting for an answer.
    until(|| seen.load(Ordering::SeqCst) == 51).await;

    drop(results);
    for _ in 0..50 {
        within_timeout(closings.recv()).await.unwrap();
    }
    assert_eq!(seen.load(Ordering::SeqCst), 51);
    accepting.abort();

    // The slots are free again. None of the first call's remaining requests was sent.
    let other = Origin::new(|_| async { reply("there") }).await;
    let results = client.fetch_all((0..100).map(|_| other.url(""))).await;
    assert!(results.iter().all(Result::is_ok));
    assert_eq!(seen.load(Ordering::SeqCst), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_streamed_body_over_its_limit_ends_with_an_error() {
    let origin = Origin::new(|_| async { chunks(100, chunk) }).await;
    let service = service().await;
    let client = service.client().await;

    let request = Request::get(origin.url("")).max_body_bytes(1 << 20);
    let response = client.execute(request).await.unwrap();
    let mut body = response.bytes_stream();
    let mut received = 0;
    let error = loop {
        match within_timeout(body.next()).await.unwrap() {
            Ok(bytes) => received += bytes.len(),
            Err(error) => break error,
        }
    };
    assert_eq!(received, 1 << 20);
    let mut causes = std::iter::successors(Some(&error as &dyn std::error::Error), |e| e.source());
    let reason = causes.find_map(|error| error.downcast_ref::<Error>()?.reason());
    assert_eq!(reason, Some(Reason::BodyTooLarge));

    let refused = client.execute("http://127.0.0.1:1/").await.unwrap_err();
    assert_eq!(refused.reason(), Some(Reason::Connect));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unread_body_does_not_block_other_requests() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/large" => chunks(1000, chunk),
            _ => reply("there"),
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    let request = Request::get(origin.url("large")).max_body_bytes(1 << 30);
    let unread = client.execute(request).await.unwrap();
    let results = within_timeout(client.fetch_all((0..100).map(|_| origin.url("")))).await;
    assert!(results.iter().all(Result::is_ok));
    let read = within_timeout(unread.bytes()).await.unwrap();
    assert_eq!(read.len(), 1000 * (64 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_the_caller_is_not_part_of_the_timeout() {
    let origin = Origin::new(|_| async { chunks(400, chunk) }).await;
    let service = service().await;
    let client = service.client().await;
    let timeout = Duration::from_secs(1);
    let request = Request::get(origin.url(""))
        .max_body_bytes(1 << 30)
        .timeout(timeout)
        .idle_timeout(timeout);
    let mut body = client.execute(request).await.unwrap().bytes_stream();
    let mut received = within_timeout(body.next()).await.unwrap().unwrap().len();
    // Pause the caller for longer than the timeout.
    tokio::time::sleep(timeout * 3 / 2).await;
    while let Some(bytes) = within_timeout(body.next()).await {
        received += bytes.unwrap().len();
    }
    assert_eq!(received, 400 * (64 << 10));
}
