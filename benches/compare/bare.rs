//! What the service is made of, without the service: hyper-util's pooled client
//! with a task a fetch, hyper's connections driven by the task that uses them, and
//! reqwest.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use http::Uri;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{
        self,
        connect::{Connected, Connection},
    },
    rt::{TokioExecutor, TokioIo},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Semaphore,
    task::JoinSet,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::job::{Answer, Job, Times};

/// A connection, plain or TLS.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// hyper-util's client, a task for each fetch.
pub async fn pooled(job: Job) -> Answer {
    let tls = connector(&job.ca);
    let dial = tower::service_fn(move |uri: Uri| {
        let tls = tls.clone();
        Box::pin(async move { dial(&uri, tls).await.map(TokioIo::new) })
    });
    let client: legacy::Client<_, Empty<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build(dial);
    let uri: Uri = job.url.parse().expect("a URL");
    let slots = Arc::new(Semaphore::new(job.concurrency));
    let (mut times, mut tasks) = (Times::start(), JoinSet::new());
    let note = |times: &mut Times, (took, bytes)| times.note(took, bytes);
    for _ in 0..job.count {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let slot = slot.expect("it is never closed");
        let (client, uri) = (client.clone(), uri.clone());
        tasks.spawn(async move {
            let begun = Instant::now();
            let response = client.get(uri).await.expect("the origin answers");
            let bytes = read(response.into_body()).await;
            drop(slot);
            (begun.elapsed(), bytes)
        });
        while let Some(done) = tasks.try_join_next() {
            note(&mut times, done.expect("no fetch panics"));
        }
    }
    while let Some(done) = tasks.join_next().await {
        note(&mut times, done.expect("no fetch panics"));
    }
    times.answer()
}

/// A task for each slot, with a connection of its own that it drives itself: the
/// limit for hyper.
pub async fn driven(job: Job) -> Answer {
    let uri: Uri = job.url.parse().expect("a URL");
    let (tls, next) = (connector(&job.ca), Arc::new(AtomicUsize::new(0)));
    let (mut times, mut tasks) = (Times::start(), JoinSet::new());
    for _ in 0..job.concurrency.min(job.count) {
        let (uri, tls, next, count) = (uri.clone(), tls.clone(), Arc::clone(&next), job.count);
        tasks.spawn(async move {
            let stream = dial(&uri, tls).await.expect("the origin is there");
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
            let (mut sender, mut connection) = handshake.expect("hyper asks nothing of it");
            let host = uri.authority().expect("a host").as_str();
            let path = uri.path_and_query().expect("a path").as_str();
            let mut done = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let begun = Instant::now();
                let request = http::Request::get(path).header("host", host);
                let request = request.body(Empty::<Bytes>::new()).expect("a request");
                let fetch = async {
                    sender.ready().await.expect("the connection is kept");
                    let response = sender.send_request(request).await;
                    read(response.expect("the origin answers").into_body()).await
                };
                let bytes = tokio::select! {
                    bytes = fetch => bytes,
                    _ = &mut connection => panic!("the origin closed the connection"),
                };
                done.push((begun.elapsed(), bytes));
            }
            done
        });
    }
    while let Some(done) = tasks.join_next().await {
        for (took, bytes) in done.expect("no fetch panics") {
            times.note(took, bytes);
        }
    }
    times.answer()
}

/// reqwest's client, a task for each slot.
pub async fn reqwest(job: Job) -> Answer {
    let client = reqwest::Client::builder().build().expect("a client");
    let (next, mut times) = (Arc::new(AtomicUsize::new(0)), Times::start());
    let mut tasks = JoinSet::new();
    for _ in 0..job.concurrency.min(job.count) {
        let (client, url, next) = (client.clone(), job.url.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut done = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < job.count {
                let begun = Instant::now();
                let response = client.get(&url).send().await.expect("the origin answers");
                let body = response.bytes().await.expect("a whole body");
                done.push((begun.elapsed(), body.len()));
            }
            done
        });
    }
    while let Some(done) = tasks.join_next().await {
        for (took, bytes) in done.expect("no fetch panics") {
            times.note(took, bytes);
        }
    }
    times.answer()
}

async fn read(mut body: Incoming) -> usize {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.expect("a whole body").into_data();
        bytes += data.map_or(0, |data| data.len());
    }
    bytes
}

async fn dial(uri: &Uri, tls: Option<TlsConnector>) -> io::Result<Stream> {
    let address = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    match tls {
        Some(tls) => {
            let name = ServerName::try_from("127.0.0.1").expect("an address");
            Ok(Stream::Tls(Box::new(tls.connect(name, tcp).await?)))
        }
        None => Ok(Stream::Plain(tcp)),
    }
}

/// TLS that trusts the root in the file `ca` (DER), if one is named.
fn connector(ca: &str) -> Option<TlsConnector> {
    if ca.is_empty() {
        return None;
    }
    let mut roots = rustls::RootCertStore::empty();
    let der = std::fs::read(ca).expect("the file was just written");
    roots.add(der.into()).expect("a certificate");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Some(TlsConnector::from(Arc::new(config)))
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
