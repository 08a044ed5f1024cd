//! A connection to an origin, plain or TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use hyper_util::client::legacy::connect::{Connected, Connection};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf, Take},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

/// The most bytes of one read. hyper's buffer grows with what a read brings,
/// so this keeps it small whatever the origin sends.
const MAX_READ: u64 = 16 << 10;

/// A connection that hands out little at a time, and carries no further request
/// once its origin has sent bytes that nobody asked for.
pub(crate) struct OriginStream {
    transport: Take<Transport>,
    /// A response has been read, at least in part, since the last request began.
    is_answered: bool,
    /// Counts it among the open ones.
    _open: Arc<()>,
}

/// A kept connection that must not be used again: nothing of the request was
/// written.
#[derive(Debug, thiserror::Error)]
#[error("the origin closed the kept connection, or sent bytes that were not asked for")]
pub(crate) struct Unusable;

enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl OriginStream {
    /// A connection without TLS.
    pub(super) fn plain(tcp: TcpStream, open: Arc<()>) -> Self {
        Self::new(Transport::Plain(tcp), open)
    }

    /// A connection with TLS.
    pub(super) fn tls(stream: TlsStream<TcpStream>, open: Arc<()>) -> Self {
        Self::new(Transport::Tls(Box::new(stream)), open)
    }

    fn new(transport: Transport, open: Arc<()>) -> Self {
        Self {
            transport: transport.take(MAX_READ),
            is_answered: false,
            _open: open,
        }
    }

    /// Fails if `written` begins a request on a kept connection that is readable:
    /// what it holds would be taken for the response.
    fn check(&mut self, written: &[u8]) -> io::Result<()> {
        if !self.is_answered || !begins_request(written) {
            return Ok(());
        }
        self.is_answered = false;
        if self.transport.get_ref().is_readable() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, Unusable));
        }
        Ok(())
    }

    fn transport(self: Pin<&mut Self>) -> Pin<&mut Transport> {
        Pin::new(self.get_mut().transport.get_mut())
    }
}

/// Whether `written` begins with a request line.
fn begins_request(written: &[u8]) -> bool {
    let line = written.split(|byte| *byte == b'\r').next();
    line.is_some_and(|line| line.ends_with(b" HTTP/1.1"))
}

impl AsyncRead for OriginStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.transport.set_limit(MAX_READ);
        self.is_answered = true;
        Pin::new(&mut self.transport).poll_read(cx, buf)
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(buf)?;
        self.transport().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(bufs.first().map_or(&[], |first| &**first))?;
        self.transport().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.transport.get_ref().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport().poll_shutdown(cx)
    }
}

impl Connection for OriginStream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Transport {
    /// Whether the socket has bytes, an end or an error to read. Asks the system
    /// itself: the runtime may not have heard of it yet.
    fn is_readable(&self) -> bool {
        let tcp = match self {
            Self::Plain(tcp) => tcp,
            Self::Tls(stream) => stream.get_ref().0,
        };
        let peeked = SockRef::from(tcp).peek(&mut [std::mem::MaybeUninit::uninit()]);
        !peeked.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Transport {
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

impl AsyncWrite for Transport {
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

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
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
