//! A TCP connection.

use std::{fmt, io, mem::MaybeUninit, net::SocketAddr};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_util::either::Either;

/// A TCP connection of a [`Network`](super::Network).
pub trait Socket: AsyncRead + AsyncWrite + fmt::Debug + Send + Sync + Unpin {
    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// Fails if there's no connection any more.
    fn peer_addr(&self) -> io::Result<SocketAddr>;

    /// Sends small writes at once, and not only when earlier ones have arrived.
    ///
    /// # Errors
    ///
    /// Fails if the connection is broken already.
    fn set_nodelay(&self) -> io::Result<()>;

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
pub(crate) type Tcp = Either<TcpStream, Box<dyn Socket>>;

/// Returns what all TCP connections can do.
pub(crate) fn socket(tcp: &Tcp) -> &dyn Socket {
    match tcp {
        Either::Left(stream) => stream,
        Either::Right(socket) => &**socket,
    }
}

impl Socket for TcpStream {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Self::peer_addr(self)
    }

    fn set_nodelay(&self) -> io::Result<()> {
        Self::set_nodelay(self, true)
    }

    fn peek(&self) -> io::Result<usize> {
        SockRef::from(self).peek(&mut [MaybeUninit::uninit()])
    }

    fn reset_on_drop(&self) {
        // This only fails if the socket is already broken, so we can ignore the error.
        let _ = self.set_zero_linger();
    }
}
