//! Origins that speak as they like: a script over a raw connection.

use std::{future::Future, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    task::JoinHandle,
};

use super::patiently;

/// A running origin.
pub(crate) struct RawOrigin {
    pub(crate) address: SocketAddr,
    accepting: JoinHandle<()>,
}

impl RawOrigin {
    /// Runs `script` for each connection.
    pub(crate) async fn new<F, Fut>(script: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self::at("127.0.0.1:0", script).await
    }

    /// The same, at a place of its own.
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

    /// Reads one request, writes `answer`, and ends the connection.
    pub(crate) async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::new(move |mut stream| {
            let answer = answer.clone();
            async move {
                request(&mut stream).await;
                let _ = stream.write_all(&answer).await;
                finish(stream).await;
            }
        })
        .await
    }

    /// Reads one request, writes `answer`, and then `again` for ever, with a
    /// pause before each.
    pub(crate) async fn endless(
        answer: &'static [u8],
        again: &'static [u8],
        pause: Duration,
    ) -> Self {
        Self::new(move |mut stream| async move {
            request(&mut stream).await;
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

/// Reads the head of a request.
pub(crate) async fn request(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Ends a connection in order: what was written arrives before the end.
pub(crate) async fn finish(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

/// Ends a connection with a reset.
pub(crate) fn reset(stream: TcpStream) {
    stream.set_zero_linger().unwrap();
}

/// A listener whose backlog is as short as can be.
pub(crate) fn short_backlog() -> TcpListener {
    short_backlog_at("127.0.0.1:0".parse().unwrap())
}

/// The same, at a place of its own.
pub(crate) fn short_backlog_at(address: SocketAddr) -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(address).unwrap();
    socket.listen(1).unwrap()
}

/// Fills the backlog of [`short_backlog`]: while what is returned lives, and
/// nothing is accepted, the SYNs of others go unanswered.
pub(crate) async fn fill(listener: &TcpListener) -> Vec<TcpStream> {
    let address = listener.local_addr().unwrap();
    // It holds one more than its length (listen(2)).
    let first = patiently(TcpStream::connect(address)).await.unwrap();
    let second = patiently(TcpStream::connect(address)).await.unwrap();
    vec![first, second]
}
