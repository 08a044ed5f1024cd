//! A connection whose peer has begun to speak HTTP/2.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

use super::Peer;

/// A connection over which both sides have begun to speak HTTP/2.
///
/// Use it like a new one: we've sent the first bytes of an HTTP/2 client, so the stream
/// drops them when they're written, and it returns again what the peer has sent.
pub struct Http2Stream {
    stream: BoxedStream,
    /// The part of [`PREFACE`] that hasn't been written again.
    preface: &'static [u8],
    /// The bytes of the peer that haven't been read again.
    received: Vec<u8>,
}

pub(super) type BoxedStream = Box<dyn Stream>;

/// A stream of bytes in both directions.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// What every client sends first (RFC 9113, 3.4). Servers answer with their settings. The
/// client's own settings follow, and we leave those to hyper.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Begins to speak HTTP/2 and waits until the peer does so as well. Returns what it is if
/// it doesn't.
///
/// # Errors
///
/// Fails if the connection fails before anything has arrived.
pub(super) async fn open(mut stream: BoxedStream) -> io::Result<Result<Http2Stream, Peer>> {
    let written = async {
        stream.write_all(PREFACE).await?;
        stream.flush().await
    };
    // A peer that closes the connection may have told us why, so read in any case.
    let written = written.await;
    let mut received = Vec::with_capacity(Peer::LENGTH);
    let ended = loop {
        match Peer::new(&received) {
            Peer::Silent(_) | Peer::Unknown if received.len() < Peer::LENGTH => {}
            _ => break Ok(()),
        }
        let missing = (Peer::LENGTH - received.len()) as u64;
        match (&mut stream).take(missing).read_buf(&mut received).await {
            Ok(0) => break written,
            Ok(_) => {}
            Err(error) => break Err(error),
        }
    };
    match (Peer::new(&received), ended) {
        (Peer::Http2, _) => Ok(Ok(Http2Stream {
            stream,
            preface: PREFACE,
            received,
        })),
        (Peer::Silent(_), Err(error)) => Err(error),
        (peer, _) => Ok(Err(peer)),
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.received.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        }
        let count = self.received.len().min(buf.remaining());
        buf.put_slice(&self.received[..count]);
        self.received.drain(..count);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.preface.is_empty() {
            return Pin::new(&mut self.stream).poll_write(cx, buf);
        }
        let count = self.preface.len().min(buf.len());
        let (again, rest) = self.preface.split_at(count);
        debug_assert_eq!(again, &buf[..count], "a client begins with the preface");
        self.preface = rest;
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.preface.is_empty() {
            return Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        }
        let first = bufs.iter().find(|buf| !buf.is_empty());
        self.poll_write(cx, first.map_or(&[][..], |first| &first[..]))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for Http2Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Http2Stream").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

    #[tokio::test]
    async fn stream_begins_like_a_new_one() {
        let (near, mut far) = tokio::io::duplex(1024);
        let peer = tokio::spawn(async move {
            // Some servers only answer once they've seen the preface.
            let mut preface = [0; PREFACE.len()];
            far.read_exact(&mut preface).await.unwrap();
            far.write_all(&[SETTINGS, b"more"].concat()).await.unwrap();
            let mut rest = String::new();
            far.read_to_string(&mut rest).await.unwrap();
            (preface, rest)
        });
        let mut stream = open(Box::new(near)).await.unwrap().unwrap();
        let mut received = [0; 13];
        stream.read_exact(&mut received).await.unwrap();
        assert_eq!(received[..], *[SETTINGS, b"more"].concat());
        let (one, two) = PREFACE.split_at(10);
        stream.write_all(one).await.unwrap();
        let slices = [IoSlice::new(b""), IoSlice::new(two), IoSlice::new(b"rest")];
        assert_eq!(stream.write_vectored(&slices).await.unwrap(), two.len());
        stream.write_all(b"rest").await.unwrap();
        drop(stream);
        let (preface, rest) = peer.await.unwrap();
        assert_eq!((&preface[..], rest.as_str()), (PREFACE, "rest"));
    }

    #[tokio::test]
    async fn other_peers_are_told_apart() {
        for (answer, expected) in [
            (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], Peer::Http1),
            (b"\x15\x03\x03\0\x02\x02\x46", Peer::Tls),
            (b"SSH-2.0-OpenSSH\r\n", Peer::Unknown),
            (b"220", Peer::Unknown),
            (b"", Peer::Silent(None)),
        ] {
            let (near, mut far) = tokio::io::duplex(1024);
            far.write_all(answer).await.unwrap();
            far.shutdown().await.unwrap();
            let peer = open(Box::new(near)).await.unwrap().unwrap_err();
            assert_eq!(peer, expected);
        }
    }
}
