//! Finds out what answers at an address.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::io::InspectReader;

/// What a peer speaks, judging by the first bytes that it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Peer {
    /// There weren't any.
    Silent,
    Http1,
    Http2,
    Tls,
    Unknown,
}

/// The first bytes that a peer sent. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct FirstBytes(Arc<Mutex<Vec<u8>>>);

/// How many bytes we look at. An HTTP/2 frame header is the longest thing we need.
const LENGTH: usize = 9;

impl FirstBytes {
    /// Returns `tcp`, except that it records the first bytes that are read from it.
    pub(super) fn recorded(
        &self,
        tcp: TcpStream,
    ) -> InspectReader<TcpStream, impl FnMut(&[u8]) + use<>> {
        let recorded = Arc::clone(&self.0);
        InspectReader::new(tcp, move |bytes: &[u8]| {
            let mut recorded = recorded.lock();
            let missing = LENGTH - recorded.len();
            recorded.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        })
    }

    /// Returns the peer that sent them.
    pub(super) fn peer(&self) -> Peer {
        Peer::new(&self.0.lock())
    }
}

impl Peer {
    fn new(first: &[u8]) -> Self {
        match first {
            [] => Self::Silent,
            [b'H', b'T', b'T', b'P', b'/', b'1', ..] => Self::Http1,
            // An alert, which a server sends if the first bytes aren't a ClientHello.
            [0x15, 0x03, ..] => Self::Tls,
            // SETTINGS, or GOAWAY. Both belong to stream 0.
            [_, _, _, 4 | 7, _, 0, 0, 0, 0] => Self::Http2,
            _ => Self::Unknown,
        }
    }

    /// Sends an HTTP/1.1 request, and finds out who answers it.
    ///
    /// Some HTTP/1.1 servers just close the connection if a caller speaks HTTP/2. Our own
    /// admin listener is one of them.
    pub(super) async fn asked_over_http1(mut tcp: TcpStream, authority: &str) -> Self {
        let request = format!("GET / HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
        let mut first = Vec::new();
        // If the connection fails, we still want the bytes that arrived before.
        let _ = tcp.write_all(request.as_bytes()).await;
        let _ = tcp.take(LENGTH as u64).read_to_end(&mut first).await;
        Self::new(&first)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no answer",
            Self::Http1 => "an HTTP/1.1 server",
            Self::Http2 => "an HTTP/2 server without gRPC",
            Self::Tls => "a TLS server",
            Self::Unknown => "a server that speaks neither HTTP nor TLS",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_known_by_its_first_bytes() {
        for (first, peer) in [
            (&b""[..], Peer::Silent),
            (b"HTTP/1.1 ", Peer::Http1),
            (b"HTTP/1.0 ", Peer::Http1),
            (b"\x15\x03\x03\0\x02\x02\x46", Peer::Tls),
            (b"\0\0\x06\x04\0\0\0\0\0", Peer::Http2),
            (b"\0\0\x08\x07\0\0\0\0\0", Peer::Http2),
            (b"\0\0\x06\x04\0\0\0\0\x01", Peer::Unknown),
            (b"SSH-2.0-x", Peer::Unknown),
            (b"\0", Peer::Unknown),
        ] {
            assert_eq!(Peer::new(first), peer, "{first:?}");
        }
    }
}
