//! A connection to an origin, plain or TLS.

use std::{
    io::{self, IoSlice},
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::{pool::Quiet, sockets::Socket};
use crate::http1::Transport;

/// The transport of one connection.
pub(crate) struct OriginStream {
    layers: Layers,
    /// An exchange is under way.
    is_busy: bool,
    _socket: Socket,
}

/// What bytes pass through.
pub(super) enum Layers {
    /// TCP alone.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

impl OriginStream {
    /// A connection that counts as `socket` until it is dropped.
    pub(super) fn new(layers: Layers, socket: Socket) -> Self {
        Self {
            layers,
            is_busy: false,
            _socket: socket,
        }
    }

    /// Returns what there is to read, without waiting: the runtime may not have
    /// heard of it yet, so the system is asked. Under TLS, bytes that were not
    /// decrypted yet count as an end: they may be anything.
    pub(crate) fn quiet(&mut self) -> Quiet {
        let is_plain = matches!(self.layers, Layers::Plain(_));
        if let Layers::Tls(stream) = &mut self.layers {
            let session = stream.get_mut().1;
            let state = session.process_new_packets();
            match state.map(|state| state.plaintext_bytes_to_read()) {
                Ok(0) if session.wants_read() => {}
                // It was closed by the other side.
                Ok(0) | Err(_) => return Quiet::Ended,
                Ok(_) => return Quiet::Unasked,
            }
        }
        match SockRef::from(self.tcp()).peek(&mut [MaybeUninit::uninit()]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Quiet::Yes,
            Ok(1..) if is_plain => Quiet::Unasked,
            Ok(_) | Err(_) => Quiet::Ended,
        }
    }

    fn tcp(&self) -> &TcpStream {
        match &self.layers {
            Layers::Plain(tcp) => tcp,
            Layers::Tls(stream) => stream.get_ref().0,
        }
    }
}

impl Transport for OriginStream {
    fn set_busy(&mut self, is_busy: bool) {
        self.is_busy = is_busy;
    }
}

impl Drop for OriginStream {
    /// Closes the connection. In the middle of an exchange, what the system has not
    /// sent yet is discarded: an origin that does not read could otherwise hold it
    /// for as long as it likes.
    fn drop(&mut self) {
        if self.is_busy {
            // It fails on a socket that is broken already.
            let _ = self.tcp().set_zero_linger();
        }
    }
}

impl AsyncRead for OriginStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layers {
            Layers::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Layers::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for OriginStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layers {
            Layers::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Layers::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().layers {
            Layers::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Layers::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.layers {
            Layers::Plain(stream) => stream.is_write_vectored(),
            Layers::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layers {
            Layers::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Layers::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().layers {
            Layers::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Layers::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
