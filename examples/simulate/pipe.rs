//! One direction of a connection.

use std::{
    collections::VecDeque,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::time::Instant;

/// Bytes on their way, and the end behind them.
#[derive(Debug, Default)]
pub(crate) struct Pipe {
    /// What was written, and when it arrives.
    chunks: VecDeque<(Instant, Bytes)>,
    /// How many bytes were written and not read yet.
    unread: usize,
    /// How many bytes were read.
    read: u64,
    /// When the end of the stream arrives, once the writer has closed it.
    end: Option<Instant>,
    /// When the last byte or the end arrives. Nothing overtakes it.
    last: Option<Instant>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// What a reader finds.
pub(crate) enum Readable {
    Bytes(Bytes),
    End,
    /// Something arrives at this time.
    Later(Instant),
    Nothing,
}

impl Pipe {
    /// Writes as much as there's room for: a pipe takes `capacity` unread bytes.
    pub(crate) fn poll_write(
        &mut self,
        bytes: &[u8],
        capacity: usize,
        latency: Duration,
        cx: &Context<'_>,
    ) -> Poll<usize> {
        let count = bytes.len().min(capacity.saturating_sub(self.unread));
        if count == 0 && !bytes.is_empty() {
            self.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let at = self.arrival(latency);
        let bytes = Bytes::copy_from_slice(&bytes[..count]);
        self.chunks.push_back((at, bytes));
        self.unread += count;
        self.wake_reader();
        Poll::Ready(count)
    }

    /// Ends the stream.
    pub(crate) fn close(&mut self, latency: Duration) {
        if self.end.is_none() {
            self.end = Some(self.arrival(latency));
            self.wake_reader();
        }
    }

    /// Returns what can be read now, without taking it.
    pub(crate) fn peek(&self) -> Readable {
        let now = Instant::now();
        match (self.chunks.front(), self.end) {
            (Some((at, bytes)), _) if *at <= now => Readable::Bytes(bytes.clone()),
            (Some((at, _)), _) => Readable::Later(*at),
            (None, Some(at)) if at <= now => Readable::End,
            (None, Some(at)) => Readable::Later(at),
            (None, None) => Readable::Nothing,
        }
    }

    /// Takes the next `count` bytes, which [`Self::peek`] has returned.
    pub(crate) fn take(&mut self, count: usize) {
        let Some((_, bytes)) = self.chunks.front_mut() else {
            return;
        };
        bytes.advance(count);
        if bytes.is_empty() {
            self.chunks.pop_front();
        }
        self.unread -= count;
        self.read += count as u64;
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Wakes the reader of this pipe when something changes.
    pub(crate) fn set_reader(&mut self, cx: &Context<'_>) {
        self.reader = Some(cx.waker().clone());
    }

    pub(crate) fn wake_reader(&mut self) {
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
    }

    pub(crate) fn wake_all(&mut self) {
        self.wake_reader();
        if let Some(writer) = self.writer.take() {
            writer.wake();
        }
    }

    /// Returns true if there's something that nobody has read.
    pub(crate) fn is_unread(&self) -> bool {
        self.unread > 0
    }

    /// Returns how many bytes were read, of all that were ever written.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Returns when something that's sent now arrives.
    pub(crate) fn arrival(&mut self, latency: Duration) -> Instant {
        let at = Instant::now() + latency;
        let at = self.last.map_or(at, |last| last.max(at));
        self.last = Some(at);
        at
    }
}
