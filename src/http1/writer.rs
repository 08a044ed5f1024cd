//! Writes a request to a connection.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use tokio::{io::AsyncWrite, time::Instant};

/// A request, and how much of it we've written so far.
#[derive(Default)]
pub(super) struct RequestWriter {
    head: Vec<u8>,
    head_written: usize,
    /// The part of the body that's still to be written.
    body: Bytes,
    /// Set once the transport has taken everything.
    is_complete: bool,
    /// Set if writing failed.
    is_broken: bool,
    last_write: Option<Instant>,
}

/// While a connection is idle, its head buffer may be up to this large. Anything above is
/// freed.
const IDLE_HEAD_CAPACITY: usize = 2 << 10;

/// The maximum number of body bytes passed to a single write. Each write that returns
/// tells us that the origin is still reading, and we find out sooner if the writes aren't
/// too large.
const MAX_WRITE: usize = 64 << 10;

impl RequestWriter {
    /// Starts a request with the given `body`. `write_head` writes the head.
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

    /// Returns true if we haven't written anything yet.
    pub(super) fn is_unwritten(&self) -> bool {
        self.head_written == 0
    }

    /// Returns when we last wrote successfully.
    pub(super) fn last_write(&self) -> Option<Instant> {
        self.last_write
    }

    /// Writes as much of the request as `stream` takes without waiting.
    ///
    /// If this fails, the rest of the request is never written, and further calls do
    /// nothing. That doesn't have to be the end though, since the origin may still
    /// respond.
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
        // The connection may become idle now, so free the request body, and the buffer if
        // it's large.
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
