//! Where a server's connections come from.

use std::{io, net::SocketAddr};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};

/// Accepts the connections of a [`Server`](crate::server::Server).
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for a connection, and returns it with the peer's address. Cancel-safe.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Stream, SocketAddr)>> + Send;

    /// Returns the address that it listens at.
    ///
    /// # Errors
    ///
    /// Fails if the operating system can't tell.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Stops listening, and returns the connections that are waiting to be accepted.
    fn close(self) -> Vec<(Self::Stream, SocketAddr)>;
}

/// How many connections [`Listener::close`] accepts or finds to have failed. It's more than
/// may wait by default.
const MAX_WAITING: usize = 8_192;

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, address) = Self::accept(self).await?;
        set_up(&stream);
        Ok((stream, address))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    fn close(self) -> Vec<(TcpStream, SocketAddr)> {
        // When a listener is closed, the kernel resets the connections that wait. From now on,
        // it lets no more than one wait.
        let _ = SockRef::from(&self).listen(0);
        let mut waiting = Vec::new();
        // tokio's accept only returns connections of which the reactor has already told it.
        let Ok(listener) = self.into_std() else {
            return waiting;
        };
        for _ in 0..MAX_WAITING {
            match listener.accept() {
                Ok((stream, address)) => {
                    let is_set = stream.set_nonblocking(true);
                    if let Ok(stream) = is_set.and_then(|()| TcpStream::from_std(stream)) {
                        set_up(&stream);
                        waiting.push((stream, address));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                // A connection has failed while it waited (accept(2), "Error handling"), or
                // there's no file descriptor for it.
                Err(_) => {}
            }
        }
        waiting
    }
}

/// Otherwise Nagle's algorithm would delay small results.
fn set_up(stream: &TcpStream) {
    let _ = stream.set_nodelay(true);
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use futures_util::FutureExt;
    use tokio::io::AsyncReadExt;

    use super::*;

    #[tokio::test]
    async fn connections_that_wait_are_not_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // Now tokio takes the listener for one without connections, until the reactor runs.
        assert!(Listener::accept(&listener).now_or_never().is_none());
        let connect = || std::net::TcpStream::connect(address).unwrap();
        let mut callers = [connect(), connect(), connect()];
        let waiting = listener.close();
        assert!(std::net::TcpStream::connect(address).is_err());
        assert_eq!(waiting.len(), callers.len());
        for (mut stream, peer) in waiting {
            let mut callers = callers.iter_mut();
            let caller = callers.find(|caller| caller.local_addr().unwrap() == peer);
            caller.unwrap().write_all(b"a").unwrap();
            assert_eq!(stream.read_u8().await.unwrap(), b'a');
        }
    }
}
