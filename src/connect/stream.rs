//! A connection to an origin, either plain TCP or TLS.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::{pool::IdleState, sockets::SocketPermit};
use crate::{
    http1::Transport,
    net::{Tcp, socket},
    telemetry::OpenConnection,
};

/// The transport below a single connection.
pub(crate) struct OriginStream {
    stream: MaybeTlsStream,
    /// Set while an exchange is in progress.
    is_busy: bool,
    _permit: SocketPermit,
    _open: OpenConnection,
}

/// A TCP stream, with or without TLS on top.
pub(super) type MaybeTlsStream = Either<Tcp, Box<TlsStream<Tcp>>>;

impl OriginStream {
    /// Creates a transport. It holds on to `permit` and `open` until it's dropped.
    pub(super) fn new(stream: MaybeTlsStream, permit: SocketPermit, open: OpenConnection) -> Self {
        Self {
            stream,
            is_busy: false,
            _permit: permit,
            _open: open,
        }
    }

    /// Returns the state of the connection in between exchanges. Never waits.
    ///
    /// We have to ask the operating system here, because the runtime might not have been
    /// notified about new data yet. With TLS, if there are encrypted bytes we haven't
    /// read, this returns [`IdleState::Closed`]. We can't know what's in them, but it may
    /// well be an alert.
    pub(crate) fn idle_state(&mut self) -> IdleState {
        let is_plain = matches!(self.stream, Either::Left(_));
        if let Either::Right(stream) = &mut self.stream {
            let session = stream.get_mut().1;
            let state = session.process_new_packets();
            match state.map(|state| state.plaintext_bytes_to_read()) {
                Ok(0) if session.wants_read() => {}
                // We got a close_notify.
                Ok(0) | Err(_) => return IdleState::Closed,
                Ok(_) => return IdleState::UnexpectedData,
            }
        }
        match socket(self.tcp()).peek() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => IdleState::Open,
            Ok(1..) if is_plain => IdleState::UnexpectedData,
            Ok(_) | Err(_) => IdleState::Closed,
        }
    }

    fn tcp(&self) -> &Tcp {
        match &self.stream {
            Either::Left(tcp) => tcp,
            Either::Right(stream) => stream.get_ref().0,
        }
    }
}

impl Transport for OriginStream {
    fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
    }
}

impl Drop for OriginStream {
    /// Closes the connection.
    ///
    /// If there's an exchange in progress, we throw away everything that the operating
    /// system hasn't sent yet. Otherwise an origin that simply doesn't read could make us
    /// keep these bytes in memory.
    fn drop(&mut self) {
        if self.is_busy {
            socket(self.tcp()).reset_on_drop();
        }
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}
