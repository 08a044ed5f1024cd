//! What a connection of a caller may do to the process: little.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Runs the calls of one connection, each until it is cut.
#[derive(Clone, Default)]
pub(super) struct Calls {
    running: TaskTracker,
    /// What cuts the call that is about to run.
    next: Arc<Mutex<Option<CancellationToken>>>,
}

/// A connection that notes when the caller has said enough to be one.
pub(super) struct Wire<S> {
    stream: S,
    /// How much was read, as long as that matters.
    read: usize,
    opened: CancellationToken,
}

/// How long a caller may take to open its connection.
pub(super) const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a connection may be without a call.
const IDLE: Duration = Duration::from_mins(5);

/// The preface of HTTP/2 and the head of the settings that follow it (RFC 9113,
/// 3.4).
const OPENING: usize = 24 + 9;

impl Calls {
    /// The call that runs next ends when what is given is cancelled.
    pub(super) fn cut_next(&self) -> CancellationToken {
        let cut = CancellationToken::new();
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = Some(cut.clone());
        cut
    }

    /// Waits until there was no call for a while. Cancel-safe.
    pub(super) async fn idle(&self) {
        let mut since = 0;
        while since < 2 {
            time::sleep(IDLE / 2).await;
            since = if self.running.is_empty() {
                since + 1
            } else {
                0
            };
        }
    }
}

impl<F> Executor<F> for Calls
where
    F: Future<Output = ()> + Send + 'static,
{
    /// hyper hands over each call right after it was made.
    fn execute(&self, call: F) {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let cut = next.take().unwrap_or_default();
        self.running
            .spawn(async move { cut.run_until_cancelled(call).await });
    }
}

impl<S> Wire<S> {
    /// `opened` is cancelled when the caller has opened its connection.
    pub(super) fn new(stream: S, opened: CancellationToken) -> Self {
        Self {
            stream,
            read: 0,
            opened,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        if self.read < OPENING {
            self.read += buf.filled().len() - before;
            if self.read >= OPENING {
                self.opened.cancel();
            }
        }
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
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
