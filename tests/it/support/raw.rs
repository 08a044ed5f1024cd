//! An origin that runs a script on every connection, and some helpers for writing these
//! scripts.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::TlsAcceptor;

use super::within_timeout;

/// A running origin. Dropping it stops the origin.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl RawOrigin {
    /// Starts an origin on some free port. It runs `script` for every connection.
    pub(crate) async fn new<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::at("127.0.0.1:0", script).await
    }

    /// Starts an origin at `address`. It runs `script` for every connection.
    pub(crate) async fn at<F, Fut>(address: &str, script: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(script(stream));
            }
        });
        Self { address, accepting }
    }

    /// Starts an origin that reads one request, writes `answer`, and then closes the
    /// connection.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |mut stream| {
            let answer = answer.clone();
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                finish(stream).await;
            }
        })
        .await
    }

    /// Starts an origin that speaks TLS. It answers one request on each connection with
    /// `secret`.
    pub(crate) async fn encrypted(acceptor: TlsAcceptor) -> Self {
        Self::new(move |stream| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                read_head(&mut stream).await;
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nsecret";
                stream.write_all(answer).await.unwrap();
                finish(stream).await;
            }
        })
        .await
    }

    /// Starts an origin that reads one request and writes `answer`. After that, it writes
    /// `again` over and over, pausing before each.
    pub(crate) async fn endless(
        answer: &'static [u8],
        again: &'static [u8],
        pause: Duration,
    ) -> Self {
        Self::new(move |mut stream| async move {
            read_head(&mut stream).await;
            let mut written = stream.write_all(answer).await;
            while written.is_ok() {
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
                written = stream.write_all(again).await;
            }
        })
        .await
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/", self.address)
    }
}

impl Drop for RawOrigin {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Reads a request head. If the connection is closed, returns what was read until then.
pub(crate) async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Shuts down a connection, and waits for the peer to close it as well. This way we know
/// that everything we've written has arrived.
pub(crate) async fn finish(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Closes a connection with a reset.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// Returns a listener on some free port. Its backlog is as short as possible.
pub(crate) fn short_backlog() -> TcpListener {
    short_backlog_at("127.0.0.1:0".parse().unwrap())
}

/// Returns a listener at `address`. Its backlog is as short as possible.
pub(crate) fn short_backlog_at(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    socket.listen(1).unwrap()
}

/// Fills a backlog from [`short_backlog`]. After that, the kernel ignores any SYN until
/// one of the returned streams is dropped, or the listener accepts a connection.
pub(crate) async fn fill_backlog(listener: &TcpListener) -> Vec<TcpStream> {
    let address = listener.local_addr().unwrap();
    // A backlog of 1 has room for two connections (see listen(2)).
    let first = within_timeout(TcpStream::connect(address)).await.unwrap();
    let second = within_timeout(TcpStream::connect(address)).await.unwrap();
    vec![first, second]
}
