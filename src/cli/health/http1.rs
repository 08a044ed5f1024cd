//! Asks a peer over HTTP/1.1.

use fetchd::client::internals::Peer;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Sends an HTTP/1.1 request without TLS, and finds out who answers it. Returns `None` if we
/// can't connect.
pub(super) async fn ask(host: &str, port: u16) -> Option<Peer> {
    let mut tcp = TcpStream::connect((host, port)).await.ok()?;
    let request = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    let mut first = Vec::new();
    // If the connection fails, we still want the bytes that arrived before.
    let _ = tcp.write_all(request.as_bytes()).await;
    let _ = tcp.take(Peer::LENGTH as u64).read_to_end(&mut first).await;
    Some(Peer::new(&first))
}
