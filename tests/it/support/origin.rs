//! An HTTP/1.1 origin on a real socket. A closure makes up the answers.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::FutureExt;
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinHandle};

/// The response type of such a closure.
pub(crate) type Reply = Response<BoxBody<Bytes, Infallible>>;

/// A running origin. If its closure has panicked, dropping it fails the test.
pub(crate) struct Origin {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct Counts {
    seen: AtomicUsize,
    in_flight: AtomicUsize,
    peak: AtomicUsize,
    panicked: AtomicBool,
}

/// Counts a request as in flight for as long as it exists.
struct InFlight(Arc<Counts>);

/// Returns a 200 response with `body`.
pub(crate) fn reply(body: impl Into<Bytes>) -> Reply {
    Response::new(Full::new(body.into()).boxed())
}

/// Starts an origin that needs a permit from the semaphore to answer a request.
pub(crate) async fn gated_origin() -> (Origin, Arc<Semaphore>) {
    origin_gated_at(|_| true).await
}

/// Starts an origin that takes a permit from the semaphore for each request it answers.
pub(crate) async fn metered_origin() -> (Origin, Arc<Semaphore>) {
    let meter = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&meter);
    let origin = Origin::new(move |_| {
        let meter = Arc::clone(&permits);
        async move {
            if let Ok(permit) = meter.acquire().await {
                permit.forget();
            }
            reply("there")
        }
    });
    (origin.await, meter)
}

/// Starts an origin that needs a permit from the semaphore to answer a request whose path
/// `is_gated`. It answers all others right away.
pub(crate) async fn origin_gated_at(is_gated: fn(&str) -> bool) -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&gate);
    let origin = Origin::new(move |request| {
        let gate = Arc::clone(&permits);
        async move {
            if is_gated(request.uri().path()) {
                let _ = gate.acquire().await;
            }
            reply("there")
        }
    });
    (origin.await, gate)
}

impl Origin {
    /// Starts an origin that answers with whatever `handler` returns.
    pub(crate) async fn new<F, Fut>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Reply> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&counts), handler));
        Self {
            address,
            counts,
            accepting,
        }
    }

    pub(crate) fn url(&self, path: impl std::fmt::Display) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// Returns how many requests it has received.
    pub(crate) fn seen(&self) -> usize {
        self.counts.seen.load(Ordering::SeqCst)
    }

    /// Returns how many requests are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.counts.in_flight.load(Ordering::SeqCst)
    }

    /// Returns how many requests have been in flight at once, at most.
    pub(crate) fn peak(&self) -> usize {
        self.counts.peak.load(Ordering::SeqCst)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.accepting.abort();
        let panicked = self.counts.panicked.load(Ordering::SeqCst);
        assert!(
            !panicked || std::thread::panicking(),
            "the origin's closure panicked"
        );
    }
}

async fn accept<F, Fut>(listener: TcpListener, counts: Arc<Counts>, handler: F)
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Reply> + Send + 'static,
{
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let counts = Arc::clone(&counts);
        let handler = handler.clone();
        let service = service_fn(move |request| {
            let in_flight = InFlight::new(Arc::clone(&counts));
            let handled = AssertUnwindSafe(handler(request)).catch_unwind();
            async move {
                let handled = handled.await;
                if handled.is_err() {
                    in_flight.0.panicked.store(true, Ordering::SeqCst);
                }
                handled.map_err(|_| "the closure panicked")
            }
        });
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new());
        tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
    }
}

impl InFlight {
    fn new(counts: Arc<Counts>) -> Self {
        counts.seen.fetch_add(1, Ordering::SeqCst);
        let in_flight = counts.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        counts.peak.fetch_max(in_flight, Ordering::SeqCst);
        Self(counts)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}
