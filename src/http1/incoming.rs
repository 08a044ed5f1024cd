//! The body of a response, read from its connection.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::ReadBuf;
use tokio_util::io::poll_read_buf;

use super::{Connection, Error, SCRATCH, Transport, framing::Framing};

/// A body that is being read. Dropping it closes the connection.
pub(crate) struct Incoming<S> {
    connection: Connection<S>,
    framing: Framing,
    keeps_open: bool,
    /// The response came before the request was written whole.
    is_early: bool,
    /// The connection has ended, and with it a body that ends so.
    is_closed: bool,
}

/// What becomes of a connection after a response.
pub(crate) enum After<S> {
    /// It can carry another exchange.
    Reusable(Connection<S>),
    /// The origin sent more than the response.
    Surplus,
    /// It is closed.
    Closed,
}

impl<S: Transport> Incoming<S> {
    pub(super) fn new(connection: Connection<S>, framing: Framing, keeps_open: bool) -> Self {
        Self {
            is_early: !connection.outgoing.is_written,
            connection,
            framing,
            keeps_open,
            is_closed: false,
        }
    }

    /// Returns true if the body has come to its end.
    pub(crate) fn is_over(&self) -> bool {
        self.is_closed || self.framing.is_over()
    }

    /// The rest of the body, in bytes, if the origin said how long it is.
    pub(crate) fn remaining(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(missing) => Some(missing),
            Framing::Chunked(_) | Framing::UntilClose => None,
        }
    }

    /// How many exchanges its connection has carried, this one included.
    pub(crate) fn exchanges(&self) -> u32 {
        self.connection.exchanges()
    }

    /// Reads some more of the body onto the end of `part`, at most until that has
    /// `limit` bytes, of which it has fewer before; nothing if the body is over.
    /// Cancel-safe.
    ///
    /// # Errors
    ///
    /// The body is not what its head says, or the connection ended before it did.
    pub(crate) async fn read(&mut self, part: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        poll_fn(|cx| self.poll_read(cx, part, limit)).await
    }

    /// Takes what was read before, and does not wait for more. Finds the end of a
    /// body that was read already, also if `part` is full.
    pub(crate) fn take_buffered(&mut self, part: &mut Vec<u8>, limit: usize) -> Result<(), Error> {
        let buffered = &mut self.connection.buffered;
        let room = limit.saturating_sub(part.len());
        if part.is_empty()
            && self.framing.direct() >= buffered.len() as u64
            && buffered.len() <= room
        {
            // The rest of the first read is the body so far: no copy is needed.
            *part = std::mem::take(buffered);
            self.framing.skip(part.len() as u64);
            return Ok(());
        }
        let used = self.framing.take(buffered, part, room)?;
        if used == buffered.len() {
            *buffered = Vec::new();
        } else {
            buffered.drain(..used);
        }
        Ok(())
    }

    /// Ends the exchange.
    pub(crate) fn finish(mut self) -> After<S> {
        let connection = &mut self.connection;
        let is_over = self.is_closed || self.framing.is_over();
        if is_over && connection.outgoing.is_written {
            connection.stream.set_busy(false);
        }
        let has_surplus = !connection.buffered.iter().all(u8::is_ascii_whitespace);
        // What was read of the request, the origin alone knows.
        let is_in_step = !self.is_early && !connection.is_ambiguous;
        if !is_over || self.is_closed {
            After::Closed
        } else if has_surplus && (self.keeps_open || connection.exchanges > 1) {
            After::Surplus
        } else if self.keeps_open && is_in_step && connection.buffered.is_empty() {
            After::Reusable(self.connection)
        } else {
            After::Closed
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<(), Error>> {
        if self.is_over() {
            return Poll::Ready(Ok(()));
        }
        // The rest of a request whose answer began before it was written whole.
        // If that fails, the rest of the answer may be there all the same.
        let _ = self.connection.poll_write(cx);
        if !self.connection.buffered.is_empty() {
            let before = part.len();
            self.take_buffered(part, limit)?;
            if part.len() > before || self.is_over() {
                return Poll::Ready(Ok(()));
            }
        }
        loop {
            let before = part.len();
            let direct = self.framing.direct();
            let count = if direct > 0 {
                ready!(self.poll_direct(cx, part, limit, direct))?
            } else {
                ready!(self.poll_decoded(cx, part, limit))?
            };
            if count == 0 {
                return Poll::Ready(self.closed());
            }
            if part.len() > before || self.is_over() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Reads at most `direct` bytes straight into `part`.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut Vec<u8>,
        limit: usize,
        direct: u64,
    ) -> Poll<Result<usize, Error>> {
        let room = usize::try_from(direct).unwrap_or(usize::MAX);
        let room = room.min(limit - part.len());
        reserve(part, room, self.remaining().is_some());
        let room = room.min(part.capacity() - part.len());
        let mut into = bytes::BufMut::limit(&mut *part, room);
        let count = ready!(poll_read_buf(
            Pin::new(&mut self.connection.stream),
            cx,
            &mut into
        ))?;
        self.framing.skip(count as u64);
        Poll::Ready(Ok(count))
    }

    /// Reads into the thread's buffer, and decodes that into `part`.
    fn poll_decoded(
        &mut self,
        cx: &mut Context<'_>,
        part: &mut Vec<u8>,
        limit: usize,
    ) -> Poll<Result<usize, Error>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut read = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.connection.stream).poll_read(cx, &mut read))?;
            let read = read.filled();
            let used = self.framing.take(read, part, limit - part.len())?;
            self.connection.buffered.extend_from_slice(&read[used..]);
            Poll::Ready(Ok(read.len()))
        })
    }

    /// The connection has ended.
    fn closed(&mut self) -> Result<(), Error> {
        self.is_closed = true;
        match self.framing {
            Framing::UntilClose => Ok(()),
            Framing::Length(_) => Err(Error::Closed("before the body was complete")),
            Framing::Chunked(_) => Err(Error::Closed("before the last chunk")),
        }
    }
}

/// Makes room in `part` for some of the `room` bytes that may come, and for all
/// of them if they `will_come`.
fn reserve(part: &mut Vec<u8>, room: usize, will_come: bool) {
    /// What is read at least at once.
    const LEAST: usize = 4 << 10;

    if will_come {
        part.reserve_exact(room);
    } else if part.capacity() - part.len() < LEAST.min(room) {
        let more = part.len().max(LEAST).min(room);
        part.reserve_exact(more);
    }
}
