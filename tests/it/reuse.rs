//! Idle connections: which ones are reused, and what happens to a request if its
//! connection is just being closed.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::{
    client::{Client, Outcome, Request},
    proto::Reason,
};
use futures_util::{StreamExt, stream};
use rand::RngExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{
    Process, RawOrigin, allow_loopback, metrics, read_head, reset, service, service_with, until,
    within_timeout,
};

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";

/// How an origin closes each connection after its response. It doesn't announce that it
/// will.
#[derive(Debug, Clone, Copy)]
enum Closing {
    After(Duration),
    AtRandom,
    Reset,
}

const CLOSINGS: [Closing; 5] = [
    Closing::After(Duration::ZERO),
    Closing::After(Duration::from_millis(2)),
    Closing::After(Duration::from_millis(10)),
    Closing::AtRandom,
    Closing::Reset,
];

impl Closing {
    /// Answers a single request. Its path is recorded in `seen`.
    async fn serve(self, mut stream: TcpStream, seen: &Mutex<HashMap<String, usize>>) {
        let head = read_head(&mut stream).await;
        if let Some(path) = head.split(' ').nth(1) {
            *seen.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        }
        let _ = stream.write_all(ANSWER).await;
        let pause = match self {
            Self::After(pause) => pause,
            Self::AtRandom => Duration::from_micros(rand::rng().random_range(0..10_000)),
            Self::Reset => Duration::from_millis(2),
        };
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        match self {
            Self::Reset => reset(stream),
            Self::After(_) | Self::AtRandom => drop(stream),
        }
    }

    /// Starts an origin that closes its connections this way. Returns it along with the
    /// number of requests per path.
    async fn origin(self) -> (RawOrigin, Arc<Mutex<HashMap<String, usize>>>) {
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let seeing = Arc::clone(&seen);
        let origin = RawOrigin::new(move |stream| {
            let seen = Arc::clone(&seeing);
            async move { self.serve(stream, &seen).await }
        })
        .await;
        (origin, seen)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gets_succeed_if_the_origin_closes_without_notice() {
    let service = Process::serve(&[]);
    let client = Client::connect(&service.url).await.unwrap();
    let mut fetched = 0;
    for closing in CLOSINGS {
        let (origin, _) = closing.origin().await;
        for (concurrency, count) in [(1, 200), (16, 800), (50, 1000)] {
            let urls = (0..count).map(|index| format!("{}{index}", origin.url()));
            let fetch = client.fetch(urls).concurrency(concurrency);
            let outcomes: Vec<Outcome> = within_timeout(fetch.outcomes().collect()).await;
            for outcome in &outcomes {
                let name = format!("{closing:?}, {concurrency}: {outcome:?}");
                assert!(outcome.error.is_none(), "{name}");
                assert_eq!(outcome.stats.attempts, 1, "{name}");
            }
            fetched += outcomes.len();
        }
    }
    let metrics = metrics::metrics(&service.admin).await;
    let retries = metrics
        .iter()
        .filter(|(name, _)| name.starts_with("fetchd_retries_total"));
    assert_eq!(retries.map(|(_, count)| count).sum::<f64>(), 0.0);
    println!("{fetched} GETs, none failed or was retried");
    assert!(fetched >= 10_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_rarely_fail_if_the_origin_closes_without_notice() {
    const COUNT: usize = 200;
    const CONCURRENCY: usize = 8;

    let service = service().await;
    let client = service.client().await;
    let plain = reqwest::Client::builder().build().unwrap();
    let (mut ours, mut plains) = (0, 0);
    for closing in CLOSINGS {
        let (origin, seen) = closing.origin().await;
        let posts =
            (0..COUNT).map(|index| Request::new("POST", format!("{}{index}", origin.url())));
        let fetch = client.fetch(posts).concurrency(CONCURRENCY as u32);
        let outcomes: Vec<Outcome> = within_timeout(fetch.outcomes().collect()).await;
        let has_failed = |outcome: &&Outcome| outcome.error.is_some();
        let failed = outcomes.iter().filter(has_failed).count();
        assert!(seen.lock().unwrap().values().all(|count| *count == 1));

        let (origin, _) = closing.origin().await;
        let posts = stream::iter(0..COUNT).map(|index| {
            let post = plain.post(format!("{}{index}", origin.url())).send();
            async move { post.await.and_then(|response| response.error_for_status()) }
        });
        let results: Vec<_> = within_timeout(posts.buffer_unordered(CONCURRENCY).collect()).await;
        let plain = results.iter().filter(|result| result.is_err()).count();
        println!("{closing:?}: {failed} of {COUNT} failed, {plain} by a plain client");
        ours += failed;
        plains += plain;
    }
    println!("{ours} failed, {plains} by a plain client; the origin received none twice");
    assert!(10 * ours < plains);
}

/// An origin that keeps its connections open and counts them. `answer` gets a request
/// head and returns the response.
struct Keeping {
    origin: RawOrigin,
    opened: Arc<AtomicUsize>,
    closed: Arc<AtomicUsize>,
}

impl Keeping {
    async fn new(answer: impl Fn(&str) -> Vec<u8> + Clone + Send + Sync + 'static) -> Self {
        let [opened, closed] = [(); 2].map(|()| Arc::new(AtomicUsize::new(0)));
        let (opening, closing) = (Arc::clone(&opened), Arc::clone(&closed));
        let origin = RawOrigin::new(move |mut stream| {
            let (opened, closed) = (Arc::clone(&opening), Arc::clone(&closing));
            let answer = answer.clone();
            async move {
                opened.fetch_add(1, Ordering::SeqCst);
                loop {
                    let head = read_head(&mut stream).await;
                    if head.is_empty() || stream.write_all(&answer(&head)).await.is_err() {
                        break;
                    }
                }
                let _ = stream.read_to_end(&mut Vec::new()).await;
                closed.fetch_add(1, Ordering::SeqCst);
            }
        })
        .await;
        Self {
            origin,
            opened,
            closed,
        }
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::SeqCst)
    }
}

async fn outcome(client: &Client, request: impl Into<Request>) -> Outcome {
    within_timeout(client.fetch([request]).outcomes().next())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_reused_until_it_has_been_idle_too_long() {
    let origin = Keeping::new(|_| ANSWER.to_vec()).await;
    let mut config = allow_loopback();
    config.origins.pool_idle_timeout = Duration::from_secs(1);
    let service = service_with(config).await;
    let client = service.client().await;
    for index in 0..100 {
        let outcome = outcome(&client, origin.origin.url()).await;
        assert!(outcome.error.is_none());
        assert_eq!(outcome.stats.connection_reused, index > 0);
    }
    assert_eq!(origin.opened(), 1);
    // The connection gets closed without any further traffic.
    until(|| origin.closed.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partly_read_or_written_connection_is_not_reused() {
    let service = service().await;
    let client = service.client().await;
    let large = |_: &str| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n";
        [head.as_bytes(), &[b'x'; 300_000]].concat()
    };
    let url = |origin: &Keeping| origin.origin.url();

    let cut = Keeping::new(large).await;
    let truncated = Request::get(url(&cut))
        .max_body_bytes(100_000)
        .truncate_body();
    let outcome_of_cut = outcome(&client, truncated).await;
    assert_eq!(outcome_of_cut.response.unwrap().body.len(), 100_000);
    assert!(!outcome(&client, url(&cut)).await.stats.connection_reused);

    let refused = Keeping::new(large).await;
    let limited = Request::get(url(&refused)).max_body_bytes(100_000);
    assert!(outcome(&client, limited).await.error.is_some());
    assert!(
        !outcome(&client, url(&refused))
            .await
            .stats
            .connection_reused
    );

    // The origin answers while we're still uploading, and never reads the rest.
    let early = RawOrigin::new(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let upload = Request::post(early.url(), vec![b'x'; 15 << 20]);
    let answered = outcome(&client, upload).await;
    assert_eq!(answered.response.unwrap().body, "hi");
    let next = outcome(&client, early.url()).await.stats;
    assert!(!next.connection_reused && next.attempts == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_is_retried_if_a_reused_connection_closes_in_the_head() {
    // The second request on a connection only gets half a head.
    let origin = RawOrigin::new(|mut stream| async move {
        read_head(&mut stream).await;
        stream.write_all(ANSWER).await.unwrap();
        read_head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nx: ").await;
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    assert!(outcome(&client, origin.url()).await.error.is_none());
    let second = outcome(&client, origin.url()).await;
    assert!(second.error.is_none(), "{:?}", second.error);
    assert_eq!(second.stats.attempts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_written_post_is_not_sent_again() {
    let posts = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&posts);
    // The origin answers GETs, but closes the connection when there's a POST.
    let origin = RawOrigin::new(move |mut stream| {
        let posts = Arc::clone(&counted);
        async move {
            while read_head(&mut stream).await.starts_with("GET") {
                stream.write_all(ANSWER).await.unwrap();
            }
            posts.fetch_add(1, Ordering::SeqCst);
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    for _ in 0..2 {
        assert!(outcome(&client, origin.url()).await.error.is_none());
    }
    let post = outcome(&client, Request::new("POST", origin.url())).await;
    assert!(post.stats.connection_reused);
    assert_eq!(post.error.unwrap().reason(), Some(Reason::Disconnected));
    assert_eq!((post.stats.attempts, posts.load(Ordering::SeqCst)), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_with_ambiguous_framing_closes_its_connection() {
    const CHUNKED: &str = "transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n";

    let service = service().await;
    let client = service.client().await;
    let with = |head: &str| format!("HTTP/1.1 {head}");
    for (name, method, answer, is_response) in [
        (
            "two lengths",
            "GET",
            with(&format!("200 OK\r\ncontent-length: 2\r\n{CHUNKED}")),
            true,
        ),
        (
            "204 with a body",
            "GET",
            with("204 No Content\r\ncontent-length: 2\r\n\r\nhi"),
            true,
        ),
        (
            "204 with chunks",
            "GET",
            with(&format!("204 No Content\r\n{CHUNKED}")),
            true,
        ),
        (
            "304 with a body",
            "GET",
            with("304 Not Modified\r\ncontent-length: 2\r\n\r\nhi"),
            true,
        ),
        (
            "HEAD with a body",
            "HEAD",
            with("200 OK\r\ncontent-length: 2\r\n\r\nhi"),
            true,
        ),
        (
            "a body that goes on",
            "GET",
            with("200 OK\r\ncontent-length: 2\r\n\r\nhi there"),
            true,
        ),
        (
            "an invalid length",
            "GET",
            with("200 OK\r\ncontent-length: two\r\n\r\nhi"),
            false,
        ),
        (
            "lengths that differ",
            "GET",
            with("200 OK\r\ncontent-length: 2, 3\r\n\r\nhi!"),
            false,
        ),
        (
            "an invalid chunk",
            "GET",
            with("200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"),
            false,
        ),
        (
            "an invalid header line",
            "GET",
            with("200 OK\r\nno header\r\ncontent-length: 0\r\n\r\n"),
            false,
        ),
    ] {
        let answer = answer.into_bytes();
        let origin = Keeping::new(move |_| answer.clone()).await;
        for _ in 0..3 {
            let outcome = outcome(&client, Request::new(method, origin.origin.url())).await;
            let reason = outcome.error.as_ref().and_then(|error| error.reason());
            let expected = (!is_response).then_some(Reason::Protocol);
            assert_eq!(reason, expected, "{name}: {outcome:?}");
            assert!(!outcome.stats.connection_reused, "{name}");
        }
        assert_eq!(origin.opened(), 3, "{name}");
        until(|| origin.closed.load(Ordering::SeqCst) == 3).await;
    }
}
