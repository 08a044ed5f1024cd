//! The transport of a caller's connection, and what it tells of the caller.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time,
};
use tokio_util::sync::CancellationToken;

/// A connection that notes when its caller has opened it, and whether it takes
/// what is written.
pub(super) struct Wire<S> {
    stream: S,
    /// How much was read, as long as that matters.
    read: usize,
    state: WireState,
}

/// What is known of a [`Wire`]. Cheap to clone; all clones share one state.
#[derive(Clone, Default)]
pub(super) struct WireState {
    opened: CancellationToken,
    written: Arc<AtomicU64>,
    is_blocked: Arc<AtomicBool>,
}

/// The preface of HTTP/2 and the head of the settings that follow it (RFC 9113,
/// 3.4).
const OPENING: usize = 24 + 9;

impl WireState {
    /// Waits until the caller has opened its connection. Cancel-safe.
    pub(super) async fn opened(&self) {
        self.opened.cancelled().await;
    }

    /// Returns true if the caller has opened its connection.
    pub(super) fn is_opened(&self) -> bool {
        self.opened.is_cancelled()
    }

    /// Forgets that the caller did not take what was written.
    pub(super) fn unblock(&self) {
        self.is_blocked.store(false, Ordering::Relaxed);
    }

    /// Returns true if the caller did not take all that was written since
    /// [`WireState::unblock`].
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Waits until the caller has taken nothing for `timeout` although there was
    /// something to take. Cancel-safe.
    pub(super) async fn stuck(&self, timeout: Duration) {
        let mut before = None;
        loop {
            time::sleep(timeout).await;
            let written = self.written.load(Ordering::Relaxed);
            let now = self.is_blocked().then_some(written);
            if now.is_some() && now == before {
                return;
            }
            before = now;
        }
    }
}

impl<S> Wire<S> {
    /// `stream`, of which `state` tells.
    pub(super) fn new(stream: S, state: WireState) -> Self {
        Self {
            stream,
            read: 0,
            state,
        }
    }

    /// Notes what became of a write, of `count` bytes if it is ready.
    fn note<T>(
        &self,
        polled: Poll<io::Result<T>>,
        count: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Pending => self.state.is_blocked.store(true, Ordering::Relaxed),
            Poll::Ready(Ok(done)) => {
                let count = count(done) as u64;
                self.state.written.fetch_add(count, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
        }
        polled
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
                self.state.opened.cancel();
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
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(polled, |count| *count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(polled, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.note(polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
