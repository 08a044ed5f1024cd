//! The response body, read from its connection.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::ReadBuf;
use tokio_util::io::poll_read_buf;

use super::{Connection, Error, SCRATCH, Transport, framing::Framing};

/// A response body. Dropping it closes the connection.
pub(crate) struct Incoming<S> {
    connection: Connection<S>,
    framing: Framing,
    keep_alive: bool,
    /// Set if the origin started to respond before we had written the whole request.
    is_early: bool,
    /// Set once the connection has ended.
    is_closed: bool,
}

/// Tells if a connection can be used again after a response.
pub(crate) enum Finished<S> {
    /// The connection can carry another exchange.
    Reusable(Connection<S>),
    /// There are more bytes after the response, which we didn't ask for.
    UnexpectedData,
    /// The connection can't be used again.
    Closed,
}

impl<S: Transport> Incoming<S> {
    pub(super) fn new(connection: Connection<S>, framing: Framing, keep_alive: bool) -> Self {
        Self {
            is_early: !connection.writer.is_complete(),
            connection,
            framing,
            keep_alive,
            is_closed: false,
        }
    }

    /// Returns true if the whole body has been read.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_closed || self.framing.is_complete()
    }

    /// Returns how many bytes of the body are left, if the origin sent a length.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(missing) => Some(missing),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// Returns how many exchanges the connection has carried, including this one.
    pub(crate) fn exchanges(&self) -> u32 {
        self.connection.exchanges()
    }

    /// Reads more of the body and appends it to `part`.
    ///
    /// `part` must be shorter than `limit`, and won't grow beyond it. If nothing gets
    /// appended, then the body is complete. Cancel-safe.
    ///
    /// # Errors
    ///
    /// The body is malformed, or the connection ended in the middle of it.
    pub(crate) async fn read(&mut self, part: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        poll_fn(|cx| self.poll_read(cx, part, limit)).await
    }

    /// Appends bytes that are already buffered, without waiting for more.
    ///
    /// Call this even if `part` is full: the end of a chunked body may already be in the
    /// buffer, and this is how we find out.
    pub(crate) fn take_buffered(&mut self, part: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        let buffered = &mut self.connection.buffered;
        let room = limit.saturating_sub(part.len());
        if part.is_empty()
            && self.framing.direct_bytes() >= buffered.len() as u64
            && buffered.len() <= room
        {
            // Everything in the buffer belongs to the body, so we can move it instead of
            // copying.
            *part = std::mem::take(buffered);
            self.framing.advance(part.len() as u64);
            return Ok(());
        }
        let used = self.framing.decode(buffered, part, room)?;
        if used == buffered.len() {
            *buffered = Vec::new();
        } else {
            buffered.drain(..used);
        }
        Ok(())
    }

    /// Ends the exchange. Returns the connection, if it can be used again.
    pub(crate) fn finish(mut self) -> Finished<S> {
        let is_complete = self.is_complete();
        let connection = &mut self.connection;
        if is_complete && connection.writer.is_complete() {
            connection.stream.set_busy(false);
        }
        if !is_complete || self.is_closed {
            return Finished::Closed;
        }
        let has_data = !connection.buffered.iter().all(u8::is_ascii_whitespace);
        if has_data && (self.keep_alive || connection.exchanges() > 1) {
            return Finished::UnexpectedData;
        }
        // In either case the origin might not have read the whole request.
        let may_have_unread_request = self.is_early || connection.is_ambiguous();
        if self.keep_alive && !may_have_unread_request && connection.buffered.is_empty() {
            Finished::Reusable(self.connection)
        } else {
            Finished::Closed
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<(), Error>> {
        if self.is_complete() {
            return Poll::Ready(Ok(()));
        }
        let connection = &mut self.connection;
        // If the response began early, we're still writing the request. It's fine if that
        // fails, since we may get the rest of the response regardless.
        let _ = connection.writer.poll_write(&mut connection.stream, cx);
        if !connection.buffered.is_empty() {
            let before = part.len();
            self.take_buffered(part, limit)?;
            if part.len() > before || self.is_complete() {
                return Poll::Ready(Ok(()));
            }
        }
        loop {
            let before = part.len();
            let direct = self.framing.direct_bytes();
            let count = if direct > 0 {
                ready!(self.poll_direct(cx, part, limit, direct))?
            } else {
                ready!(self.poll_decoded(cx, part, limit))?
            };
            if count == 0 {
                return Poll::Ready(self.connection_ended());
            }
            if part.len() > before || self.is_complete() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads up to `direct` bytes straight into `part`.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut Vec<u8>,
        limit: usize,
        direct: u64,
    ) -> Poll<Result<usize, Error>> {
        let max = usize::try_from(direct)
            .unwrap_or(usize::MAX)
            .min(limit - part.len());
        reserve(part, max, self.remaining().is_some());
        let room = max.min(part.capacity() - part.len());
        let mut buf = bytes::BufMut::limit(&mut *part, room);
        let stream = Pin::new(&mut self.connection.stream);
        let count = ready!(poll_read_buf(stream, cx, &mut buf))?;
        self.framing.advance(count as u64);
        Poll::Ready(Ok(count))
    }

    /// Reads into the thread-local buffer, and decodes from there into `part`.
    fn poll_decoded(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<usize, Error>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.connection.stream).poll_read(cx, &mut buf))?;
            let read = buf.filled();
            let used = self.framing.decode(read, part, limit - part.len())?;
            self.connection.buffered.extend_from_slice(&read[used..]);
            Poll::Ready(Ok(read.len()))
        })
    }

    /// Called when the connection has ended. If the body has no length, this is its
    /// regular end. Otherwise it's an error.
    fn connection_ended(&mut self) -> Result<(), Error> {
        self.is_closed = true;
        match self.framing {
            Framing::UntilClose => Ok(()),
            Framing::Length(_) => Err(Error::Closed("before the body was complete")),
            Framing::Chunked(_) => Err(Error::Closed("before the last chunk")),
        }
    }
}

/// Makes room in `part`. If we know how many bytes are left (`is_known`), reserve space
/// for all `max` of them. Otherwise start small and grow.
fn reserve(part: &mut Vec<u8>, max: usize, is_known: bool) {
    /// Reserve at least this much for a read, unless `max` is smaller.
    const MIN_READ: usize = 4 << 10;

    if is_known {
        part.reserve_exact(max);
    } else if part.capacity() - part.len() < MIN_READ.min(max) {
        let more = part.len().max(MIN_READ).min(max);
        part.reserve_exact(more);
    }
}
