//! The body of a response, read from its connection.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::ReadBuf;
use tokio_util::io::poll_read_buf;

use super::{Connection, Error, SCRATCH, Transport, framing::Framing};

/// The body of a response. Dropping it closes the connection.
pub(crate) struct Incoming<S> {
    connection: Connection<S>,
    framing: Framing,
    keep_alive: bool,
    /// True if the response began before the whole request was written.
    is_early: bool,
    /// True if the connection has ended.
    is_closed: bool,
}

/// The state of a connection after a response.
pub(crate) enum Finished<S> {
    /// The connection can carry another exchange.
    Reusable(Connection<S>),
    /// The origin sent bytes behind the response.
    UnexpectedData,
    /// The connection cannot be used again.
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

    /// Returns true if the body is complete.
    pub(crate) fn is_complete(&self) -> bool {
        self.is_closed || self.framing.is_complete()
    }

    /// Returns the number of remaining bytes if the origin sent a length.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(missing) => Some(missing),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// Returns the number of exchanges on the connection, including this one.
    pub(crate) fn exchanges(&self) -> u32 {
        self.connection.exchanges()
    }

    /// Reads some of the body and appends it to `part`, which must have less than
    /// `limit` bytes and never gets more. Appends nothing only if the body is complete.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The body is malformed, or the connection ended before the body was complete.
    pub(crate) async fn read(&mut self, part: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        poll_fn(|cx| self.poll_read(cx, part, limit)).await
    }

    /// Appends buffered bytes to `part` without waiting for more. Detects the end of a
    /// body that was already read, even if `part` is full.
    pub(crate) fn take_buffered(&mut self, part: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        let buffered = &mut self.connection.buffered;
        let room = limit.saturating_sub(part.len());
        if part.is_empty()
            && self.framing.direct_bytes() >= buffered.len() as u64
            && buffered.len() <= room
        {
            // All buffered bytes belong to the body, so no copy is needed.
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

    /// Ends the exchange and returns the connection if it can be used again.
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
        // In both cases the origin may not have read the whole request.
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
        // Continues a request whose response began early. If that fails, the rest of the
        // response may still arrive.
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

    /// Reads at most `direct` bytes directly into `part`.
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

    /// Reads into the thread-local buffer and decodes that into `part`.
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

    /// Handles the end of the connection, which also ends a body without a length.
    fn connection_ended(&mut self) -> Result<(), Error> {
        self.is_closed = true;
        match self.framing {
            Framing::UntilClose => Ok(()),
            Framing::Length(_) => Err(Error::Closed("before the body was complete")),
            Framing::Chunked(_) => Err(Error::Closed("before the last chunk")),
        }
    }
}

/// Reserves space in `part` for all of `max` bytes if their number `is_known`, and
/// otherwise for some of them.
fn reserve(part: &mut Vec<u8>, max: usize, is_known: bool) {
    /// The minimum size of one read.
    const MIN_READ: usize = 4 << 10;

    if is_known {
        part.reserve_exact(max);
    } else if part.capacity() - part.len() < MIN_READ.min(max) {
        let more = part.len().max(MIN_READ).min(max);
        part.reserve_exact(more);
    }
}
