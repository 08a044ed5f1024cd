//! Finds out what answers at an address.

use std::{fmt, time::Duration};

/// What a peer speaks, judging by the first bytes that it sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// It didn't send any, and closed the connection or let this time pass.
    Silent(Option<Duration>),
    /// HTTP/1.1.
    Http1,
    /// HTTP/2.
    Http2,
    /// TLS, although we don't.
    Tls,
    /// Anything but TLS, although we do.
    Plaintext,
    /// None of these.
    Unknown,
}

impl Peer {
    /// How many bytes it takes to tell all kinds of peers apart. An HTTP/2 frame header is
    /// the longest thing we need.
    pub const LENGTH: usize = 9;

    /// Returns the peer that sent these bytes first, up to [`LENGTH`](Self::LENGTH) of them.
    pub fn new(first: &[u8]) -> Self {
        match first {
            [] => Self::Silent(None),
            [b'H', b'T', b'T', b'P', b'/', b'1', ..] => Self::Http1,
            // An alert, which a server sends if the first bytes aren't a ClientHello.
            [0x15, 0x03, ..] => Self::Tls,
            // SETTINGS, or GOAWAY. Both belong to stream 0.
            [_, _, _, 4 | 7, _, 0, 0, 0, 0] => Self::Http2,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent(Some(limit)) => return write!(f, "no answer within {limit:?}"),
            Self::Silent(None) => "a server that closes the connection without an answer",
            Self::Http1 => "an HTTP/1.1 server",
            Self::Http2 => "an HTTP/2 server without gRPC",
            Self::Tls => "a TLS server; use https://",
            Self::Plaintext => "a server without TLS",
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
            (&b""[..], Peer::Silent(None)),
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
