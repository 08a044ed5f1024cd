//! HTTP/1.1 over one connection: a request goes out, a response comes back, and
//! then perhaps another.
//!
//! [`Connection::exchange`] writes a request and reads the head of its response;
//! the [`Incoming`] body is then read from the connection, and gives it back
//! once it is over. No task is spawned and no channel is used: a connection is
//! driven by whoever waits for it, and closed by dropping it.
//!
//! A connection with nothing to read holds no read buffer: bytes are read into a
//! buffer of the thread, and what cannot be used at once is copied out of it.
//! Parsing is httparse's; what a message means, and where it ends, is decided
//! here.

mod chunked;
mod error;
mod framing;
mod head;
mod incoming;
#[cfg(any(test, fuzzing))]
#[allow(missing_docs, unreachable_pub, clippy::missing_panics_doc)]
pub mod property;

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::StatusCode;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

pub(crate) use error::Error;
use head::MAX_HEAD;
pub(crate) use head::{Head, Parsed};
pub(crate) use incoming::{After, Incoming};

/// What a connection is over.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin {
    /// Notes whether an exchange is under way: if the transport is dropped during
    /// one, what it was given and has not sent is of no use.
    fn set_busy(&mut self, _is_busy: bool) {}
}

/// A connection on which one exchange follows another.
pub(crate) struct Connection<S> {
    stream: S,
    /// Bytes that were read and not used yet.
    buffered: Vec<u8>,
    outgoing: Outgoing,
    /// How many exchanges were begun.
    exchanges: u32,
    is_head: bool,
    /// The request may be read in two ways: it has a body, which its method does
    /// not ask for.
    is_ambiguous: bool,
    /// Interim responses to this request, and their bytes.
    interims: usize,
    interim_bytes: usize,
    /// Something of the response has come.
    is_answered: bool,
}

/// A request on its way out.
#[derive(Default)]
struct Outgoing {
    head: Vec<u8>,
    head_written: usize,
    /// The rest of the body.
    body: Bytes,
    /// All of it is with the transport.
    is_written: bool,
    /// Writing failed.
    is_broken: bool,
    /// When some of it was last written.
    last_written: Option<Instant>,
}

/// A request on its way out, beside its head.
pub(crate) struct Outline {
    /// Its method is HEAD, to which a response has no body.
    pub(crate) is_head: bool,
    /// Its method asks for a body (RFC 9110, 9.3). Servers disagree about whether
    /// any other request has one.
    pub(crate) expects_body: bool,
    pub(crate) body: Bytes,
}

/// A response whose head is there.
pub(crate) struct Response<S> {
    pub(crate) head: Head,
    pub(crate) body: Incoming<S>,
}

/// The most bytes of one read that are not read straight into a body.
const READ: usize = 16 << 10;

/// The most interim responses (1xx) to one request: many more than any protocol
/// needs.
const MAX_INTERIMS: usize = 100;

/// An idle connection keeps a buffer for heads of at most this size.
const KEPT_HEAD: usize = 2 << 10;

/// The most bytes of a request's body that are written at once: what is written
/// shows that the origin takes it.
const WRITE: usize = 64 << 10;

thread_local! {
    /// Holds bytes within one poll only.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ].into());
}

impl<S: Transport> Connection<S> {
    /// A connection over `stream`, on which nothing was sent yet.
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffered: Vec::new(),
            outgoing: Outgoing::default(),
            exchanges: 0,
            is_head: false,
            is_ambiguous: false,
            interims: 0,
            interim_bytes: 0,
            is_answered: false,
        }
    }

    /// The transport below.
    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// How many exchanges were begun.
    pub(crate) fn exchanges(&self) -> u32 {
        self.exchanges
    }

    /// Begins an exchange: `write_head` writes the head of the request, and its
    /// body follows.
    pub(crate) fn begin(&mut self, request: Outline, write_head: impl FnOnce(&mut Vec<u8>)) {
        let mut head = std::mem::take(&mut self.outgoing.head);
        head.clear();
        write_head(&mut head);
        self.stream.set_busy(true);
        self.exchanges = self.exchanges.saturating_add(1);
        self.is_head = request.is_head;
        self.is_ambiguous = !request.expects_body && !request.body.is_empty();
        self.outgoing = Outgoing {
            head,
            body: request.body,
            ..Outgoing::default()
        };
        self.interims = 0;
        self.interim_bytes = 0;
        self.is_answered = false;
    }

    /// Writes the request that was begun and reads the head of its response,
    /// which may come before the request was written whole. Cancel-safe: called
    /// again, it goes on.
    ///
    /// # Errors
    ///
    /// The response is not HTTP, or the connection ended before the head did.
    pub(crate) async fn exchange(&mut self) -> Result<Parsed, Error> {
        poll_fn(|cx| self.poll_exchange(cx)).await
    }

    /// The response with the head that [`Connection::exchange`] returned.
    pub(crate) fn respond(self, parsed: Parsed) -> Response<S> {
        let body = Incoming::new(self, parsed.framing, parsed.keeps_open);
        Response {
            head: parsed.head,
            body,
        }
    }

    /// Returns true if the request may be sent again on another connection after
    /// this one broke: nothing of a response has come, and the origin has not
    /// acted on it, or may act on it twice, since it `is_idempotent`.
    pub(crate) fn can_be_repeated(&self, is_idempotent: bool) -> bool {
        !self.is_answered && (is_idempotent || self.is_unwritten())
    }

    fn is_unwritten(&self) -> bool {
        self.outgoing.head_written == 0
    }

    /// When some of the request was last written. `None`: never.
    pub(crate) fn last_written(&self) -> Option<Instant> {
        self.outgoing.last_written
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<Parsed, Error>> {
        if let Err(error) = self.poll_write(cx)
            && self.is_unwritten()
        {
            return Poll::Ready(Err(error.into()));
        }
        self.poll_head(cx)
    }

    /// Writes as much of the request as the transport takes. After an error the
    /// rest is given up; the origin may have answered all the same.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.outgoing.is_written || self.outgoing.is_broken {
            return Ok(());
        }
        let written = match self.outgoing.poll_into(&mut self.stream, cx) {
            Poll::Ready(written) => written,
            Poll::Pending => Ok(()),
        };
        self.outgoing.is_broken = written.is_err();
        written
    }

    /// Reads until the head of the final response is there.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Parsed, Error>> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut read = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut read))?;
                let read = read.filled();
                if read.is_empty() {
                    return Poll::Ready(Err(head::cut_short(&self.buffered)));
                }
                self.is_answered = true;
                if let Some(parsed) = self.take_head(read)? {
                    return Poll::Ready(Ok(parsed));
                }
            }
        })
    }

    /// Parses the head at the start of the buffered bytes and `read`, past
    /// interim responses, and buffers the bytes that were not used.
    fn take_head(&mut self, read: &[u8]) -> Result<Option<Parsed>, Error> {
        let before = self.buffered.len();
        let mut buffered = std::mem::take(&mut self.buffered);
        let input = if before == 0 {
            read
        } else {
            buffered.extend_from_slice(read);
            if !may_be_parsed(&buffered, before) {
                self.buffered = buffered;
                return Ok(None);
            }
            &buffered
        };
        let mut start = 0;
        let found = loop {
            start += blank_lines(&input[start..]);
            let Some((parsed, length)) = head::parse(&input[start..], self.is_head)? else {
                break None;
            };
            start += length;
            if parsed.head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Error::malformed(
                    "the origin switches protocols (101), which was not asked for",
                ));
            }
            if !parsed.head.status.is_informational() {
                break Some(parsed);
            }
            self.interims += 1;
            if self.interims > MAX_INTERIMS {
                return Err(Error::malformed(format!(
                    "the origin sent more than {MAX_INTERIMS} interim responses"
                )));
            }
        };
        if found.is_none() {
            self.interim_bytes += start;
            if self.interim_bytes + input.len() - start > MAX_HEAD {
                return Err(head::too_large());
            }
        }
        self.buffered = input[start..].to_vec();
        Ok(found)
    }
}

impl Outgoing {
    /// Writes what is left into `stream`.
    fn poll_into(
        &mut self,
        stream: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = Pin::new(stream);
        while self.head_written < self.head.len() || !self.body.is_empty() {
            let head = &self.head[self.head_written..];
            let body = &self.body[..self.body.len().min(WRITE)];
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
        self.is_written = true;
        // An idle connection holds neither the caller's message nor a large buffer.
        self.body = Bytes::new();
        self.head.clear();
        self.head.shrink_to(KEPT_HEAD);
        Poll::Ready(Ok(()))
    }

    fn advance(&mut self, count: usize) {
        let of_head = count.min(self.head.len() - self.head_written);
        self.head_written += of_head;
        self.body.advance(count - of_head);
        self.last_written = Some(Instant::now());
    }
}

/// Whether a head of which `before` bytes were seen is worth another look. It is
/// parsed when it first comes, with its first line, and when it may be whole:
/// if each byte of it cost a look at all before it, a slow origin would be
/// expensive.
fn may_be_parsed(buffered: &[u8], before: usize) -> bool {
    let tail = &buffered[before.saturating_sub(2)..];
    let has_blank_line = || {
        let mut ends = tail.windows(2).zip(tail.windows(3).map(Some).chain([None]));
        ends.any(|(two, three)| two == b"\n\n" || three == Some(b"\n\r\n"))
    };
    let has_line = |bytes: &[u8]| bytes.contains(&b'\n');
    buffered.len() >= MAX_HEAD
        || has_line(&buffered[before..]) && (!has_line(&buffered[..before]) || has_blank_line())
}

/// The length of the empty lines at the start of `input`, which some origins
/// send after the body before (RFC 9112, 2.2).
fn blank_lines(input: &[u8]) -> usize {
    let mut rest = input;
    while let Some(next) = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")) {
        rest = next;
    }
    input.len() - rest.len()
}
