//! An origin that runs a script on each raw connection, and helpers for such scripts.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

use super::within_timeout;

/// A running origin, stopped when it is dropped.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl RawOrigin {
    /// Starts an origin on a free port that runs `script` for each connection.
    pub(crate) async fn new<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::at("127.0.0.1:0", script).await
    }

    /// Starts an origin at `address` that runs `script` for each connection.
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

    /// Starts an origin that reads one request, writes `answer` and closes the
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

    /// Starts an origin that reads one request, writes `answer`, and then writes `again`
    /// forever, with a pause before each.
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

/// Reads the head of a request. Returns the bytes read so far if the connection closes.
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

/// Shuts down a connection and waits for the peer to close it, so that all written bytes
/// arrive.
pub(crate) async fn finish(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Closes a connection with a reset.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// Returns a listener with the shortest possible backlog, on a free port.
pub(crate) fn short_backlog() -> TcpListener {
    short_backlog_at("127.0.0.1:0".parse().unwrap())
}

/// Returns a listener with the shortest possible backlog, at `address`.
pub(crate) fn short_backlog_at(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    socket.listen(1).unwrap()
}

/// Fills the backlog of a listener from [`short_backlog`]. The kernel ignores further
/// SYNs until a returned stream is dropped or the listener accepts a connection.
pub(crate) async fn fill_backlog(listener: &TcpListener) -> Vec<TcpStream> {
    let address = listener.local_addr().unwrap();
    // A backlog of one holds two connections (listen(2)).
    let first = within_timeout(TcpStream::connect(address)).await.unwrap();
    let second = within_timeout(TcpStream::connect(address)).await.unwrap();
    vec![first, second]
}
