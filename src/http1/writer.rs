//! The request that a connection is writing.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{io::AsyncWrite, time::Instant};

/// A request and how much of it was written.
#[derive(Default)]
pub(super) struct RequestWriter {
    head: Vec<u8>,
    head_written: usize,
    /// The remaining bytes of the body.
    body: Bytes,
    /// True if the transport has taken all of it.
    is_complete: bool,
    /// True if writing failed.
    is_broken: bool,
    last_write: Option<Instant>,
}

/// An idle connection keeps its head buffer up to this size.
const IDLE_HEAD_CAPACITY: usize = 2 << 10;

/// The maximum number of bytes of a body that one call writes. Each call that returns
/// shows that the origin is reading.
const MAX_WRITE: usize = 64 << 10;

impl RequestWriter {
    /// Starts a request with `body`, whose head `write_head` writes.
    pub(super) fn start(&mut self, body: Bytes, write_head: impl FnOnce(&mut Vec<u8>)) {
        let mut head = std::mem::take(&mut self.head);
        head.clear();
        write_head(&mut head);
        *self = Self {
            head,
            body,
            ..Self::default()
        };
    }

    /// Returns true if the transport has taken the whole request.
    pub(super) fn is_complete(&self) -> bool {
        self.is_complete
    }

    /// Returns true if nothing was written.
    pub(super) fn is_unwritten(&self) -> bool {
        self.head_written == 0
    }

    /// Returns the time of the last successful write.
    pub(super) fn last_write(&self) -> Option<Instant> {
        self.last_write
    }

    /// Writes as much of the request as `stream` takes without waiting. After an error
    /// the remaining bytes are never written, but the origin may still respond.
    pub(super) fn poll_write(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> io::Result<()> {
        if self.is_complete || self.is_broken {
            return Ok(());
        }
        match self.poll_write_all(stream, cx) {
            Poll::Ready(Err(error)) => {
                self.is_broken = true;
                Err(error)
            }
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    fn poll_write_all(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(stream);
        while self.head_written < self.head.len() || !self.body.is_empty() {
            let head = &self.head[self.head_written..];
            let body = &self.body[..self.body.len().min(MAX_WRITE)];
            let count = if body.is_empty() {
                ready!(stream.as_mut().poll_write(cx, head))?
            } else {
                let both = [IoSlice::new(head), IoSlice::new(body)];
                ready!(stream.as_mut().poll_write_vectored(cx, &both))?
            };
            if count == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.advance(count);
        }
        ready!(stream.poll_flush(cx))?;
        self.is_complete = true;
        // An idle connection holds neither the request body nor a large buffer.
        self.body = Bytes::new();
        self.head.clear();
        self.head.shrink_to(IDLE_HEAD_CAPACITY);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len() - self.head_written);
        self.head_written += of_head;
        self.body.advance(count - of_head);
        self.last_write = Some(Instant::now());
    }
}
