//! Responses that nobody asked for. They must never be taken as the answer to another
//! request, no matter which caller that one comes from.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::client::{Client, Outcome, Request};
use futures_util::{StreamExt, future::join_all, stream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Barrier, mpsc},
};

use crate::support::{
    RawOrigin, allow_loopback, read_head, service, service_with, until, within_timeout,
};

/// The form of the right response, and of the planted one that follows.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Length,
    Chunked,
    /// There's an interim response before the planted one.
    Interim,
    /// The right response has no body.
    NoContent,
    /// The right response is for a HEAD request, but it has a body anyway.
    Head,
    /// Only half of the planted response is sent.
    Half,
}

/// When to write the planted response.
#[derive(Debug, Clone, Copy)]
enum When {
    /// Together with the right one, in a single write.
    Together,
    /// After this delay, in a separate write.
    After(Duration),
}

const KINDS: [Kind; 6] = [
    Kind::Length,
    Kind::Chunked,
    Kind::Interim,
    Kind::NoContent,
    Kind::Head,
    Kind::Half,
];

const WHEN: [When; 7] = [
    When::Together,
    When::After(Duration::ZERO),
    When::After(Duration::from_micros(100)),
    When::After(Duration::from_micros(500)),
    When::After(Duration::from_millis(1)),
    When::After(Duration::from_millis(5)),
    When::After(Duration::from_millis(50)),
];

const OK: &str = "HTTP/1.1 200 OK\r\n";

impl Kind {
    fn method(self) -> &'static str {
        match self {
            Self::Head => "HEAD",
            _ => "GET",
        }
    }

    /// Returns the right response. Its body is `body`.
    fn response(self, body: &str) -> String {
        let length = body.len();
        match self {
            Self::Chunked => {
                format!("{OK}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n")
            }
            Self::NoContent => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
            Self::Head => format!("{OK}content-length: {length}\r\n\r\n"),
            Self::Length | Self::Interim | Self::Half => {
                format!("{OK}content-length: {length}\r\n\r\n{body}")
            }
        }
    }

    fn planted(self) -> String {
        let whole = format!("{OK}x: planted\r\ncontent-length: 7\r\n\r\nplanted");
        match self {
            Self::Chunked => self.response("planted"),
            Self::Interim => format!("HTTP/1.1 100 Continue\r\n\r\n{whole}"),
            Self::Head => format!("planted{whole}"),
            Self::Half => whole[..30].to_owned(),
            Self::Length | Self::NoContent => whole,
        }
    }
}

/// An origin that plants another response after every response it sends.
struct Planting {
    origin: RawOrigin,
    /// Gets a value as soon as the service has a planted response in its buffer.
    planted: mpsc::UnboundedReceiver<()>,
    connections: Arc<Connections>,
}

#[derive(Default)]
struct Connections {
    opened: AtomicUsize,
    closed: AtomicUsize,
}

impl Planting {
    /// Starts an origin. It waits until `wave` requests have arrived and then answers all
    /// of them. So no connection can be reused before its planted response is there.
    async fn new(kind: Kind, when: When, wave: usize) -> Self {
        let wave = Arc::new(Barrier::new(wave));
        let (sender, planted) = mpsc::unbounded_channel();
        let connections = Arc::new(Connections::default());
        let counted = Arc::clone(&connections);
        let origin = RawOrigin::new(move |mut stream| {
            let (sender, connections) = (sender.clone(), Arc::clone(&counted));
            let wave = Arc::clone(&wave);
            async move {
                stream.set_nodelay(true).unwrap();
                connections.opened.fetch_add(1, Ordering::SeqCst);
                loop {
                    let head = read_head(&mut stream).await;
                    let Some(path) = head.split(' ').nth(1) else {
                        break;
                    };
                    wave.wait().await;
                    let (right, planted) = (kind.response(path), kind.planted());
                    match when {
                        When::Together => {
                            let both = right + &planted;
                            let _ = stream.write_all(both.as_bytes()).await;
                        }
                        When::After(pause) => {
                            let _ = stream.write_all(right.as_bytes()).await;
                            if !pause.is_zero() {
                                tokio::time::sleep(pause).await;
                            }
                            let _ = stream.write_all(planted.as_bytes()).await;
                        }
                    }
                    // On loopback, the receiver has these bytes in its buffer by now.
                    let _ = sender.send(());
                }
                let _ = stream.read_to_end(&mut Vec::new()).await;
                connections.closed.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await;
        Self {
            origin,
            planted,
            connections,
        }
    }
}

/// Sends waves of requests from two callers, and waits for the planted responses after
/// each wave. Returns the number of results.
async fn waves(callers: [Client; 2], kind: Kind, when: When, concurrency: usize) -> usize {
    const WAVES: usize = 3;

    let mut planting = Planting::new(kind, when, 2 * concurrency).await;
    let mut results = 0;
    for wave in 0..WAVES {
        let fetched = callers.iter().enumerate().map(async |(caller, client)| {
            let requests = (0..concurrency).map(|index| {
                let url = format!("{}{wave}/{caller}/{index}", planting.origin.url());
                Request::new(kind.method(), url)
            });
            let fetch = client.fetch(requests).concurrency(concurrency as u32);
            let outcomes: Vec<Outcome> = within_timeout(fetch.outcomes().collect()).await;
            assert_eq!(outcomes.len(), concurrency);
            for outcome in outcomes {
                let name = format!("{kind:?}, {when:?}, {concurrency}: {outcome:?}");
                assert!(outcome.error.is_none(), "{name}");
                assert_eq!(outcome.stats.attempts, 1, "{name}");
                assert!(!outcome.stats.connection_reused, "{name}");
                let response = outcome.response.unwrap();
                let expected = match kind {
                    Kind::NoContent | Kind::Head => String::new(),
                    _ => format!("/{wave}/{caller}/{}", outcome.index),
                };
                assert_eq!(response.body, expected, "{name}");
                assert!(!response.headers.contains_key("x"), "{name}");
            }
        });
        join_all(fetched).await;
        for _ in 0..2 * concurrency {
            within_timeout(planting.planted.recv()).await.unwrap();
        }
        results += 2 * concurrency;
    }
    // All requests had their own connections, and these are closed by now.
    let connections = &planting.connections;
    assert_eq!(connections.opened.load(Ordering::SeqCst), results);
    until(|| connections.closed.load(Ordering::SeqCst) == results).await;
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_planted_between_requests_answers_none() {
    let mut config = allow_loopback();
    config.limits.max_in_flight = 4000;
    config.limits.max_batches = Some(500);
    config.origins.pool_idle_timeout = Duration::from_secs(1);
    let service = service_with(config).await;
    let mut results = 0;
    for concurrency in [1, 2, 8, 50] {
        let callers = [service.client().await, service.client().await];
        let cells = KINDS.iter().flat_map(|kind| WHEN.map(|when| (*kind, when)));
        // Don't open too many connections, or we'll run out of file descriptors.
        let counts: Vec<_> = stream::iter(cells)
            .map(|(kind, when)| waves(callers.clone(), kind, when, concurrency))
            .buffered(7)
            .collect()
            .await;
        results += counts.iter().sum::<usize>();
    }
    println!("{results} results, none with a planted byte");
    assert!(results >= 10_000, "{results}");
}

/// If the next request follows right away, it may be written before the planted response
/// arrives. The connection is closed as soon as there's an extra response.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_with_an_extra_response_is_not_reused() {
    let service = service().await;
    for pause in [0, 100, 500, 1000, 5000] {
        let when = When::After(Duration::from_micros(pause));
        let planting = Planting::new(Kind::Length, when, 1).await;
        let urls = (0..50).map(|index| format!("{}{index}", planting.origin.url()));
        let client = service.client().await;
        let fetch = client.fetch(urls).concurrency(1);
        let outcomes: Vec<Outcome> = within_timeout(fetch.outcomes().collect()).await;
        let is_wrong = |outcome: &&Outcome| {
            let response = outcome.response.as_ref().unwrap();
            response.body != format!("/{}", outcome.index)
        };
        let wrong = outcomes.iter().filter(is_wrong).count();
        println!("{pause} us later: {wrong} of 50 answers are wrong");
        assert!(wrong <= 2, "{wrong} of 50");
    }
}

/// If we can't tell which request an answer is for, it's discarded. An idempotent request
/// is then sent again, and all others fail.
#[tokio::test(flavor = "multi_thread")]
async fn two_responses_on_a_reused_connection_answer_no_request() {
    for (method, is_repeated) in [("GET", true), ("POST", false)] {
        let origin = RawOrigin::new(|mut stream| async move {
            for _ in 0..2 {
                read_head(&mut stream).await;
                let first = format!("{OK}content-length: 5\r\n\r\nfirst");
                stream.write_all(first.as_bytes()).await.unwrap();
            }
            read_head(&mut stream).await;
            let two = format!("{OK}content-length: 3\r\n\r\ntwo").repeat(2);
            let _ = stream.write_all(two.as_bytes()).await;
            read_head(&mut stream).await;
        })
        .await;
        let service = service().await;
        let client = service.client().await;
        let fetch = async |method| {
            let fetch = client
                .fetch([Request::new(method, origin.url())])
                .outcomes()
                .collect();
            let mut outcomes: Vec<Outcome> = within_timeout(fetch).await;
            outcomes.remove(0)
        };
        // The next request uses a connection that has been reused before.
        for _ in 0..2 {
            assert_eq!(fetch("GET").await.response.unwrap().body, "first");
        }
        let third = fetch(method).await;
        if is_repeated {
            assert_eq!(third.response.unwrap().body, "first");
            assert_eq!(third.stats.attempts, 1);
        } else {
            let error = third.error.unwrap();
            assert!(
                error.to_string().contains("more than one response"),
                "{error}"
            );
            assert!(error.is_retryable());
        }
    }
}
