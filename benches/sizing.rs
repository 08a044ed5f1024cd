//! Measures what a fetch costs the service: CPU time for different kinds of fetches, and
//! memory for requests in flight. docs/operations.md uses the figures to size pods.
//!
//! `cargo bench --bench sizing`

#![allow(clippy::pedantic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::fs;

use fetchd::client::{Client, Request};
use futures_util::StreamExt;
use support::{Authority, Origin, Process, RawOrigin, gated_origin, read_head, reply, until};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufStream},
    time::Instant,
};

const CONCURRENCY: u32 = 50;

/// How many requests are in flight when their memory is measured.
const IN_FLIGHT: u32 = 1000;

#[tokio::main]
async fn main() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    fs::write(&roots, authority.pem()).unwrap();
    let service = Process::serve(&[
        "--ca-cert",
        roots.to_str().unwrap(),
        "--max-concurrency",
        "1024",
        "--max-in-flight",
        "2048",
        "--max-batches",
        "64",
    ]);
    println!("idle: {} MiB", service.memory() >> 20);
    let client = Client::connect(&service.url).await.unwrap();

    let small = Origin::new(|_| async { reply(vec![b'x'; 1 << 10]) }).await;
    let large = Origin::new(|_| async { reply(vec![b'x'; 100 << 10]) }).await;
    let kept = encrypted(&authority, "").await;
    let closed = encrypted(&authority, "connection: close\r\n").await;
    let https = |origin: &RawOrigin| format!("https://localhost:{}/", origin.address.port());
    println!("fetches of                              CPU each   a core");
    for (name, url, count) in [
        ("1 KiB over HTTP", small.url(""), 40_000),
        ("100 KiB over HTTP", large.url(""), 10_000),
        ("1 KiB over HTTPS", https(&kept), 40_000),
        (
            "1 KiB over HTTPS, each by a connection",
            https(&closed),
            4_000,
        ),
    ] {
        // Connections, caches and allocations.
        fetch(&client, &url, 200).await;
        let before = service.cpu_time();
        fetch(&client, &url, count).await;
        let each = (service.cpu_time() - before) / count as f64;
        println!("{name:<40}{:>5.0} µs {:>6.0}/s", each * 1e6, 1.0 / each);
    }

    let (held, gate) = gated_origin().await;
    // Allocations of the batch itself.
    let before = service.memory();
    let urls = (0..IN_FLIGHT).map(|_| Request::get(held.url("")));
    let waiting = client.fetch(urls).concurrency(IN_FLIGHT).all();
    let waiting = tokio::spawn(waiting);
    until(|| held.in_flight() == IN_FLIGHT as usize).await;
    let each = (service.memory() - before) / u64::from(IN_FLIGHT);
    println!("in flight: {:.1} KiB each", each as f64 / 1024.0);
    gate.close();
    let outcomes = waiting.await.unwrap();
    assert!(outcomes.iter().all(Result::is_ok));
}

/// Starts an HTTPS origin that adds `header` to its responses.
async fn encrypted(authority: &Authority, header: &'static str) -> RawOrigin {
    let acceptor = authority.acceptor("localhost");
    let origin = RawOrigin::new(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            stream.set_nodelay(true).unwrap();
            if let Ok(stream) = acceptor.accept(stream).await {
                answer_all(BufStream::new(stream), header).await;
            }
        }
    });
    origin.await
}

async fn answer_all<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, header: &str) {
    let body = "x".repeat(1 << 10);
    let response = format!("HTTP/1.1 200 OK\r\n{header}content-length: 1024\r\n\r\n{body}");
    while !read_head(&mut stream).await.is_empty() {
        let written = stream.write_all(response.as_bytes()).await;
        if written.is_err() || stream.flush().await.is_err() {
            return;
        }
        if !header.is_empty() {
            let _ = stream.shutdown().await;
            return;
        }
    }
}

async fn fetch(client: &Client, url: &str, count: usize) {
    let started = Instant::now();
    let requests = (0..count).map(|_| Request::get(url));
    let mut outcomes = client.fetch(requests).concurrency(CONCURRENCY).outcomes();
    let mut ended = 0;
    while let Some(outcome) = outcomes.next().await {
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        ended += 1;
    }
    assert_eq!(ended, count, "after {:?}", started.elapsed());
}
