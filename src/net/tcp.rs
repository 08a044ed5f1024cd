//! A TCP connection.

use std::{
    fmt,
    io::{self, IoSlice},
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

#[cfg(feature = "server")]
use std::mem::MaybeUninit;

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// A TCP connection of a [`Network`](super::Network).
pub trait Socket: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {
    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails if there's no connection any more.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Returns how many bytes can be read right now, up to one. 0 means that the peer has
    /// closed the connection.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if there's nothing to read yet, other errors if the
    /// connection is broken.
    fn peek(&self) -> io::Result<usize>;

    /// Makes the drop of this socket reset the connection, and discard what hasn't been
    /// sent.
    fn reset_on_drop(&self);
}

/// A TCP connection, of the operating system or of another network.
#[derive(Debug)]
pub(crate) enum Tcp {
    System(TcpStream),
    Other(Box<dyn Socket>),
}

#[cfg(feature = "server")]
impl Tcp {
    /// Returns the peer's address.
    pub(crate) fn peer_addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::System(stream) => stream.peer_addr(),
            Self::Other(socket) => socket.peer_addr(),
        }
    }

    /// See [`Socket::peek`].
    pub(crate) fn peek(&self) -> io::Result<usize> {
        match self {
            Self::System(stream) => {
                socket2::SockRef::from(stream).peek(&mut [MaybeUninit::uninit()])
            }
            Self::Other(socket) => socket.peek(),
        }
    }

    /// See [`Socket::reset_on_drop`].
    pub(crate) fn reset_on_drop(&self) {
        match self {
            // This only fails if the socket is already broken, so we can ignore the error.
            Self::System(stream) => drop(stream.set_zero_linger()),
            Self::Other(socket) => socket.reset_on_drop(),
        }
    }
}

impl AsyncRead for Tcp {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Other(socket) => Pin::new(socket).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Tcp {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Other(socket) => Pin::new(socket).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Other(socket) => Pin::new(socket).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::System(stream) => stream.is_write_vectored(),
            Self::Other(socket) => socket.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_flush(cx),
            Self::Other(socket) => Pin::new(socket).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::System(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Other(socket) => Pin::new(socket).poll_shutdown(cx),
        }
    }
}
