//! Fetches eight batches of 10,000 requests. A third of the requests hits a random fault.
//! Checks that every request ends with the expected reason, and that the service closes
//! its sockets after each batch. Prints the memory of the service, which must not grow
//! after the first batches.
//!
//! `cargo bench --bench faults`

#![allow(clippy::pedantic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::{collections::BTreeMap, fs, time::Duration};

use fetchd::{
    client::{Client, Request},
    proto::Reason,
};
use futures_util::StreamExt;
use rand::RngExt;
use support::{Origin, Process, RawOrigin, reply, self_signed, until, within_timeout};
use tokio::time::Instant;

const REQUESTS: usize = 10_000;
/// The idle timeout of requests to faulty origins.
const IDLE_TIMEOUT: Duration = Duration::from_millis(300);

/// The expected reason of a request's error, or `None` if it must succeed.
type Expected = Option<Reason>;

#[tokio::main]
async fn main() {
    let healthy = Origin::new(|_| async { reply("healthy") }).await;
    let faults = Faults::new().await;
    let service = Process::serve(&["--max-concurrency", "200"]);
    let client = Client::connect(&service.url).await.unwrap();
    // Opens the client's connection, so that its socket counts as idle. The request is
    // invalid and causes no fetch.
    client.fetch_all(["not a url"]).await;
    let idle = sockets(service.id());
    for round in 1..=8 {
        let (requests, expected) = random_requests(&healthy, &faults);
        let started = Instant::now();
        let outcomes = client
            .fetch(requests)
            .concurrency(200)
            .in_order()
            .collect::<Vec<_>>();
        let outcomes = tokio::time::timeout(Duration::from_secs(120), outcomes)
            .await
            .unwrap();
        let elapsed = started.elapsed().as_secs_f64();
        assert_eq!(outcomes.len(), REQUESTS);
        let mut reasons = BTreeMap::<_, usize>::new();
        let mut mismatches = 0;
        for (outcome, expected) in outcomes.iter().zip(&expected) {
            let reason = outcome.error.as_ref().map(|error| error.reason());
            if reason != expected.map(Some) {
                mismatches += 1;
                println!("  expected {expected:?}, got {:?}", outcome.error);
            }
            let name = expected.map_or("a response", |reason| reason.as_str_name());
            *reasons.entry(name).or_default() += 1;
        }
        // The service closes idle connections to origins after 4 s.
        within_timeout(until(|| sockets(service.id()) <= idle)).await;
        println!("round {round}: {REQUESTS} ends in {elapsed:.1} s, {mismatches} mismatches");
        println!("  {reasons:?}");
        println!(
            "  sockets {} (before: {idle}); memory {} KiB, peak {} KiB",
            sockets(service.id()),
            service.memory() >> 10,
            service.peak_memory() >> 10
        );
        assert_eq!(mismatches, 0);
    }
}

/// Returns requests in random order, of which two thirds are healthy and one third is
/// faulty, with their expected results.
fn random_requests(healthy: &Origin, faults: &Faults) -> (Vec<Request>, Vec<Expected>) {
    let mut random = rand::rng();
    let requests = (0..REQUESTS).map(|_| {
        if random.random_range(0..3) > 0 {
            return (Request::get(healthy.url("")), None);
        }
        let (url, reason) = &faults.urls[random.random_range(0..faults.urls.len())];
        let request = Request::get(url)
            .idle_timeout(IDLE_TIMEOUT)
            .max_attempts(1)
            .max_body_bytes(10_000);
        (request, Some(*reason))
    });
    requests.unzip()
}

/// Origins with one fault each.
struct Faults {
    urls: Vec<(String, Reason)>,
    _origins: Vec<RawOrigin>,
}

impl Faults {
    async fn new() -> Self {
        const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let never = Duration::from_secs(3600);
        let drip = Duration::from_millis(20);
        let answering = RawOrigin::answering;
        let untrusted = self_signed("localhost");
        let tls = RawOrigin::new(move |stream| {
            let untrusted = untrusted.clone();
            async move { drop(untrusted.accept(stream).await) }
        });
        let origins = vec![
            (RawOrigin::endless(b"", b"", never).await, Reason::Timeout),
            (
                RawOrigin::endless(b"HTTP/1.1 200", b"", never).await,
                Reason::Timeout,
            ),
            (
                RawOrigin::endless(b"HTTP/1.1 200 OK\r\nx: ", b"x", drip).await,
                Reason::Timeout,
            ),
            (answering("").await, Reason::Disconnected),
            (
                answering("HTTP/1.1 200 OK\r\ncontent-le").await,
                Reason::Disconnected,
            ),
            (
                answering("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx").await,
                Reason::Disconnected,
            ),
            (
                answering([CHUNKED, "5\r\n12345\r\n"].concat().as_str()).await,
                Reason::Disconnected,
            ),
            (
                answering([CHUNKED, "zz\r\n"].concat().as_str()).await,
                Reason::Protocol,
            ),
            (answering("SSH-2.0-OpenSSH_9.9\r\n").await, Reason::Protocol),
            (
                answering(
                    ["HTTP/1.1 200 OK\r\nx: ", &"x".repeat(1 << 20)]
                        .concat()
                        .as_str(),
                )
                .await,
                Reason::Protocol,
            ),
            (
                answering(
                    "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nnone",
                )
                .await,
                Reason::Decode,
            ),
            (
                answering("HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\nlocation: ftp://x/\r\n\r\n")
                    .await,
                Reason::Blocked,
            ),
            (
                answering("HTTP/1.1 302 Found\r\nconnection: close\r\ncontent-length: 0\r\nlocation: /\r\n\r\n").await,
                Reason::TooManyRedirects,
            ),
            (
                RawOrigin::endless(b"HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 4096], Duration::ZERO).await,
                Reason::BodyTooLarge,
            ),
        ];
        let mut urls: Vec<_> = origins
            .iter()
            .map(|(origin, reason)| (origin.url(), *reason))
            .collect();
        let mut origins: Vec<_> = origins.into_iter().map(|(origin, _)| origin).collect();
        let tls = tls.await;
        urls.push((tls.url().replace("http:", "https:"), Reason::Tls));
        origins.push(tls);
        urls.push(("http://127.0.0.1:1/".to_owned(), Reason::Connect));
        urls.push(("http://10.0.0.1/".to_owned(), Reason::Blocked));
        urls.push(("http://".to_owned(), Reason::InvalidRequest));
        Self {
            urls,
            _origins: origins,
        }
    }
}

/// Returns the number of open sockets of a process.
fn sockets(process: u32) -> usize {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    let links = open.filter_map(|file| fs::read_link(file.ok()?.path()).ok());
    links
        .filter(|link| link.to_string_lossy().starts_with("socket:"))
        .count()
}
