//! A connection that carries one exchange after another.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::{io::ReadBuf, time::Instant};

use super::{
    Error, Incoming, Parsed, Response, SCRATCH, Transport, expects_body,
    head::{self, MAX_HEAD},
    writer::RequestWriter,
};

/// A connection that carries one exchange after another.
pub(crate) struct Connection<S> {
    pub(super) stream: S,
    /// Bytes we've read but not used yet.
    pub(super) buffered: Vec<u8>,
    pub(super) writer: RequestWriter,
    /// How many exchanges we've started on this connection.
    exchanges: u32,
    current: Exchange,
}

#[derive(Default)]
struct Exchange {
    is_head: bool,
    /// Set if the request has a body although its method doesn't define one. Servers may
    /// then disagree about where the request ends.
    is_ambiguous: bool,
    /// Set as soon as any byte of a response has arrived.
    is_answered: bool,
    /// How many interim responses we've seen.
    interim_responses: usize,
    /// The total size of all interim responses that were parsed before the last read.
    interim_bytes: usize,
}

/// The maximum number of interim responses (1xx) per request. No protocol needs this
/// many. If an origin sends more, the response counts as malformed.
const MAX_INTERIM_RESPONSES: usize = 100;

impl<S: Transport> Connection<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream,
            buffered: Vec::new(),
            writer: RequestWriter::default(),
            exchanges: 0,
            current: Exchange::default(),
        }
    }

    /// Returns the underlying transport.
    pub(crate) fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Returns how many exchanges were started.
    pub(crate) fn exchanges(&self) -> u32 {
        self.exchanges
    }

    /// Returns true if servers might disagree about where the current request ends.
    pub(super) fn is_ambiguous(&self) -> bool {
        self.current.is_ambiguous
    }

    /// Starts an exchange. `write_head` writes the request head.
    pub(crate) fn start(
        &mut self,
        method: &Method,
        body: Bytes,
        write_head: impl FnOnce(&mut Vec<u8>),
    ) {
        self.stream.set_busy(true);
        self.exchanges = self.exchanges.saturating_add(1);
        self.current = Exchange {
            is_head: *method == Method::HEAD,
            is_ambiguous: !expects_body(method) && !body.is_empty(),
            ..Exchange::default()
        };
        self.writer.start(body, write_head);
    }

    /// Writes the request passed to [`Connection::start`] and reads the response head.
    /// Note that the response may begin before we've written the whole request.
    ///
    /// Cancel-safe: if cancelled, simply call it again to continue.
    ///
    /// # Errors
    ///
    /// The response is malformed, or the connection ended before the head was complete.
    pub(crate) async fn exchange(&mut self) -> Result<Parsed, Error> {
        poll_fn(|cx| self.poll_exchange(cx)).await
    }

    /// Combines the head that [`Connection::exchange`] returned with a body that reads
    /// from this connection.
    pub(crate) fn into_response(self, parsed: Parsed) -> Response<S> {
        let body = Incoming::new(self, parsed.framing, parsed.keep_alive);
        Response {
            head: parsed.head,
            body,
        }
    }

    /// Returns true if the request may be sent again on another connection after this one
    /// broke.
    ///
    /// For that, no byte of the response may have arrived. In addition, the request must
    /// either be idempotent, or we must not have written any of it.
    pub(crate) fn can_resend(&self, is_idempotent: bool) -> bool {
        !self.current.is_answered && (is_idempotent || self.writer.is_unwritten())
    }

    /// Returns when we last wrote any bytes of the request.
    pub(crate) fn last_write(&self) -> Option<Instant> {
        self.writer.last_write()
    }

    fn poll_exchange(&mut self, cx: &mut Context<'_>) -> Poll<Result<Parsed, Error>> {
        let written = self.writer.poll_write(&mut self.stream, cx);
        if let Err(error) = written
            && self.writer.is_unwritten()
        {
            return Poll::Ready(Err(error.into()));
        }
        self.poll_head(cx)
    }

    /// Reads until the head of the final response is complete.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Parsed, Error>> {
        SCRATCH.with_borrow_mut(|scratch| {
            loop {
                let mut buf = ReadBuf::new(scratch);
                ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf))?;
                let read = buf.filled();
                if read.is_empty() {
                    return Poll::Ready(Err(head::unexpected_end(&self.buffered)));
                }
                self.current.is_answered = true;
                if let Some(parsed) = self.take_head(read)? {
                    return Poll::Ready(Ok(parsed));
                }
            }
        })
    }

    /// Tries to parse the final response head from the buffered bytes followed by `read`.
    /// Any bytes that aren't used end up in the buffer.
    fn take_head(&mut self, read: &[u8]) -> Result<Option<Parsed>, Error> {
        let seen = self.buffered.len();
        let mut buffered = std::mem::take(&mut self.buffered);
        let input = if seen == 0 {
            read
        } else {
            buffered.extend_from_slice(read);
            if !is_worth_parsing(&buffered, seen) {
                self.buffered = buffered;
                return Ok(None);
            }
            &buffered
        };
        let mut used = 0;
        let parsed = self.parse_responses(input, &mut used)?;
        if parsed.is_none() {
            self.current.interim_bytes += used;
            if self.current.interim_bytes + input.len() - used > MAX_HEAD {
                return Err(head::too_large());
            }
        }
        self.buffered = input[used..].to_vec();
        Ok(parsed)
    }

    /// Skips interim responses and parses the final one. `used` is advanced past all
    /// heads that are complete.
    fn parse_responses(&mut self, input: &[u8], used: &mut usize) -> Result<Option<Parsed>, Error> {
        loop {
            *used += blank_lines(&input[*used..]);
            let Some((parsed, length)) = head::parse(&input[*used..], self.current.is_head)? else {
                return Ok(None);
            };
            *used += length;
            if parsed.head.status == StatusCode::SWITCHING_PROTOCOLS {
                return Err(Error::malformed(
                    "the origin switched protocols (101) without a request to do so",
                ));
            }
            if !parsed.head.status.is_informational() {
                return Ok(Some(parsed));
            }
            self.current.interim_responses += 1;
            if self.current.interim_responses > MAX_INTERIM_RESPONSES {
                return Err(Error::malformed(format!(
                    "the origin sent more than {MAX_INTERIM_RESPONSES} interim responses"
                )));
            }
        }
    }
}

/// Returns true if it's worth trying to parse a head, given that everything beyond the
/// first `seen` bytes is new.
///
/// We do this when the first bytes arrive, when the first line is complete, and whenever
/// the head might be complete. If we did it for every byte, parsing would take quadratic
/// time, and a slow origin could exploit that.
fn is_worth_parsing(buffered: &[u8], seen: usize) -> bool {
    if buffered.len() >= MAX_HEAD {
        return true;
    }
    let has_line = |bytes: &[u8]| bytes.contains(&b'\n');
    if !has_line(&buffered[seen..]) {
        return false;
    }
    // The blank line may have started in bytes that we've already seen, so look back a
    // little.
    let tail = &buffered[seen.saturating_sub(2)..];
    let has_blank_line = tail.windows(2).any(|bytes| bytes == b"\n\n")
        || tail.windows(3).any(|bytes| bytes == b"\n\r\n");
    has_blank_line || !has_line(&buffered[..seen])
}

/// Returns the length of any empty lines at the start of `input`. Some origins send them
/// after the previous body (RFC 9112, 2.2).
fn blank_lines(input: &[u8]) -> usize {
    let mut rest = input;
    while let Some(next) = rest.strip_prefix(b"\r\n").or(rest.strip_prefix(b"\n")) {
        rest = next;
    }
    input.len() - rest.len()
}
