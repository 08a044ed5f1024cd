//! Monitors a connection's transport.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{self, Sleep},
};
use tokio_util::sync::CancellationToken;

use super::{backlog::Backlog, connection::MAX_STREAMS};

/// A stream that reports its reads and writes to a [`Monitor`]. It reads no faster than
/// the connection's calls can run.
///
/// Shutting it down waits for the peer to close its side too, up to [`LINGER`].
pub(super) struct MonitoredStream<S> {
    stream: S,
    /// The end of the wait for the peer. Set once we've closed our side.
    linger: Option<Pin<Box<Sleep>>>,
    /// How many bytes we've read. Only counted until the connection is open.
    read: usize,
    monitor: Monitor,
    backlog: Backlog,
}

/// Knows if the peer has opened the connection, and if it's reading the responses.
///
/// Clones share the same state.
#[derive(Clone, Default)]
pub(super) struct Monitor {
    opened: CancellationToken,
    /// How many bytes we've read in the current turn.
    read_in_turn: Arc<AtomicUsize>,
    written: Arc<AtomicU64>,
    is_blocked: Arc<AtomicBool>,
}

/// The length of the HTTP/2 preface plus the header of the SETTINGS frame that must
/// follow it (RFC 9113, 3.4).
const OPENING: usize = 24 + 9;

/// How many bytes a connection may read before it lets other tasks run. A frame can be as
/// small as nine bytes, so that's up to 1,800 of them, which takes a few milliseconds.
const MAX_READ: usize = 16 << 10;

/// If a connection has this many calls, it reads nothing until one of them has ended. We
/// allow 64 more than the stream limit. These must have been reset, so they end without
/// anything further from the caller.
const MAX_CALLS: usize = MAX_STREAMS as usize + 64;

/// How long a closing connection waits for the peer to close its side.
///
/// If we closed a socket that has something to read, or gets it afterwards, the kernel
/// would reset the connection. The peer would then lose the responses it hasn't read yet.
/// There's nearly always something to read: HTTP/2 acknowledges what it receives.
const LINGER: Duration = Duration::from_secs(1);

/// How many bytes a closing connection may read from the peer in a turn.
const LINGER_BUFFER: usize = 1 << 10;

impl Monitor {
    /// Waits for the peer to open the connection. Cancel-safe.
    pub(super) async fn opened(&self) {
        self.opened.cancelled().await;
    }

    /// Returns true if the peer has opened the connection.
    pub(super) fn is_opened(&self) -> bool {
        self.opened.is_cancelled()
    }

    /// Begins the connection's next turn. This resets [`Monitor::is_blocked`], and the
    /// connection may read again.
    pub(super) fn begin_turn(&self) {
        self.is_blocked.store(false, Ordering::Relaxed);
        self.read_in_turn.store(0, Ordering::Relaxed);
    }

    /// Returns true if a write has had to wait for the peer since the last call to
    /// [`Monitor::begin_turn`].
    pub(super) fn is_blocked(&self) -> bool {
        self.is_blocked.load(Ordering::Relaxed)
    }

    /// Waits until a write has been blocked for `timeout` without the peer reading
    /// anything. Note that it may take up to twice that long to notice. Cancel-safe.
    pub(super) async fn stalled(&self, timeout: Duration) {
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

impl<S> MonitoredStream<S> {
    /// Wraps `stream` so that it reports to `monitor`. It isn't read while there are too
    /// many calls in `backlog`.
    pub(super) fn new(stream: S, monitor: Monitor, backlog: Backlog) -> Self {
        Self {
            stream,
            linger: None,
            read: 0,
            monitor,
            backlog,
        }
    }

    /// Records that `count` bytes were read.
    fn note_read(&mut self, count: usize) {
        let in_turn = &self.monitor.read_in_turn;
        in_turn.fetch_add(count, Ordering::Relaxed);
        if self.read >= OPENING || count == 0 {
            return;
        }
        self.read += count;
        if self.read >= OPENING {
            self.monitor.opened.cancel();
        }
    }

    /// Waits until the peer has closed its side, or for [`LINGER`].
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()>
    where
        S: AsyncRead + Unpin,
    {
        let is_over = |timer: &mut Pin<Box<Sleep>>| timer.as_mut().poll(cx).is_ready();
        if self.linger.as_mut().is_none_or(is_over) {
            return Poll::Ready(());
        }
        let mut buffer = [0; LINGER_BUFFER];
        let mut buffer = ReadBuf::new(&mut buffer);
        match Pin::new(&mut self.stream).poll_read(cx, &mut buffer) {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                // Let other tasks run, even if the peer doesn't stop sending.
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Records the result of a write or flush.
    fn note_written<T>(
        &self,
        polled: Poll<io::Result<T>>,
        count: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Pending => self.monitor.is_blocked.store(true, Ordering::Relaxed),
            Poll::Ready(Ok(done)) => {
                let count = count(done) as u64;
                self.monitor.written.fetch_add(count, Ordering::Relaxed);
            }
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for MonitoredStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(self.backlog.poll_below(MAX_CALLS, cx));
        if self.monitor.read_in_turn.load(Ordering::Relaxed) >= MAX_READ {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buf);
        self.note_read(buf.filled().len() - before);
        polled
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for MonitoredStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note_written(polled, |count| *count)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note_written(polled, |count| *count)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.stream).poll_flush(cx);
        self.note_written(polled, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.linger.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.linger = Some(Box::pin(time::sleep(LINGER)));
        }
        self.poll_linger(cx).map(Ok)
    }
}
