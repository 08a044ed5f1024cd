//! Clients without the service: hyper-util's pooled client with one task for each fetch,
//! hyper connections that are driven by the task that uses them, and reqwest.

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

use super::job::{Job, JobResult, Times};

/// A plain or TLS connection.
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Runs `job` with hyper-util's pooled client, in one task for each fetch.
pub async fn pooled(job: Job) -> JobResult {
    let tls = connector(&job.ca);
    let dial = tower::service_fn(move |uri: Uri| {
        let tls = tls.clone();
        Box::pin(async move { dial(&uri, tls).await.map(TokioIo::new) })
    });
    let client: legacy::Client<_, Empty<Bytes>> =
        legacy::Client::builder(TokioExecutor::new()).build(dial);
    let uri: Uri = job.url.parse().expect("the URL of the job is valid");
    let slots = Arc::new(Semaphore::new(job.concurrency));
    let (mut times, mut tasks) = (Times::start(), JoinSet::new());
    for _ in 0..job.count {
        let slot = Arc::clone(&slots).acquire_owned().await;
        let slot = slot.expect("the semaphore is never closed");
        let (client, uri) = (client.clone(), uri.clone());
        tasks.spawn(async move {
            let started = Instant::now();
            let response = client.get(uri).await.expect("the origin answers");
            let bytes = read(response.into_body()).await;
            drop(slot);
            (started.elapsed(), bytes)
        });
        while let Some(done) = tasks.try_join_next() {
            let (time, bytes) = done.expect("no fetch panics");
            times.record(time, bytes);
        }
    }
    while let Some(done) = tasks.join_next().await {
        let (time, bytes) = done.expect("no fetch panics");
        times.record(time, bytes);
    }
    times.finish()
}

/// Runs `job` in one task for each concurrent fetch. Each task drives a hyper connection of
/// its own, which is the fastest way to use hyper.
pub async fn driven(job: Job) -> JobResult {
    let uri: Uri = job.url.parse().expect("the URL of the job is valid");
    let (tls, next) = (connector(&job.ca), Arc::new(AtomicUsize::new(0)));
    let (mut times, mut tasks) = (Times::start(), JoinSet::new());
    for _ in 0..job.concurrency.min(job.count) {
        let (uri, tls, next, count) = (uri.clone(), tls.clone(), Arc::clone(&next), job.count);
        tasks.spawn(async move {
            let stream = dial(&uri, tls).await.expect("the origin is running");
            let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
            let (mut sender, mut connection) =
                handshake.expect("the HTTP/1.1 handshake sends nothing");
            let host = uri.authority().expect("the URL has a host").as_str();
            let path = uri.path_and_query().expect("the URL has a path").as_str();
            let mut done = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < count {
                let started = Instant::now();
                let request = http::Request::get(path).header("host", host);
                let request = request
                    .body(Empty::<Bytes>::new())
                    .expect("the request is valid");
                let fetch = async {
                    sender
                        .ready()
                        .await
                        .expect("the origin keeps the connection open");
                    let response = sender.send_request(request).await;
                    read(response.expect("the origin answers").into_body()).await
                };
                let bytes = tokio::select! {
                    bytes = fetch => bytes,
                    _ = &mut connection => panic!("the origin closed the connection"),
                };
                done.push((started.elapsed(), bytes));
            }
            done
        });
    }
    while let Some(done) = tasks.join_next().await {
        for (time, bytes) in done.expect("no fetch panics") {
            times.record(time, bytes);
        }
    }
    times.finish()
}

/// Runs `job` with reqwest, in one task for each concurrent fetch.
pub async fn reqwest(job: Job) -> JobResult {
    let client = reqwest::Client::builder()
        .build()
        .expect("the default configuration is valid");
    let (next, mut times) = (Arc::new(AtomicUsize::new(0)), Times::start());
    let mut tasks = JoinSet::new();
    for _ in 0..job.concurrency.min(job.count) {
        let (client, url, next) = (client.clone(), job.url.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            let mut done = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < job.count {
                let started = Instant::now();
                let response = client.get(&url).send().await.expect("the origin answers");
                let body = response.bytes().await.expect("the body is complete");
                done.push((started.elapsed(), body.len()));
            }
            done
        });
    }
    while let Some(done) = tasks.join_next().await {
        for (time, bytes) in done.expect("no fetch panics") {
            times.record(time, bytes);
        }
    }
    times.finish()
}

/// Reads `body` to its end, and returns its size.
async fn read(mut body: Incoming) -> usize {
    let mut bytes = 0;
    while let Some(frame) = body.frame().await {
        let data = frame.expect("the body is complete").into_data();
        bytes += data.map_or(0, |data| data.len());
    }
    bytes
}

/// Connects to the origin of `uri`, with TLS if `tls` is given.
async fn dial(uri: &Uri, tls: Option<TlsConnector>) -> io::Result<Stream> {
    let address = (uri.host().unwrap_or_default(), uri.port_u16().unwrap_or(80));
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    match tls {
        Some(tls) => {
            let name = ServerName::try_from("127.0.0.1").expect("127.0.0.1 is a valid name");
            Ok(Stream::Tls(Box::new(tls.connect(name, tcp).await?)))
        }
        None => Ok(Stream::Plain(tcp)),
    }
}

/// Returns a TLS connector that trusts the root certificate in the file `ca` (DER), or
/// `None` if `ca` is empty.
fn connector(ca: &str) -> Option<TlsConnector> {
    if ca.is_empty() {
        return None;
    }
    let mut roots = rustls::RootCertStore::empty();
    let der = std::fs::read(ca).expect("the bench has written the file");
    roots.add(der.into()).expect("the file is a certificate");
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = rustls::ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs supports TLS 1.2 and 1.3")
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
