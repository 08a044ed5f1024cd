//! The body of a response, decoded, in parts of bounded size.

use std::io;

use bytes::Bytes;
use tokio::{task, time};

use super::{
    error,
    idle::{IdleConnections, SYNC_CHECK, needs_sync_check},
};
use crate::{
    clock::Clock,
    connect::{Origin, OriginStream},
    decode::{Decoded, Decoder},
    http1::Incoming,
    request::{Options, Overflow},
    response::{FetchError, Part, Reason},
};

/// The body of a response. Holds at most one part and the bytes of one read.
pub(crate) struct Body<'f> {
    /// `None` once the body is complete or discarded.
    source: Option<Source<'f>>,
    decoder: Option<Decoder>,
    /// The beginning of the next part.
    part: Vec<u8>,
    /// How the body ended, if it has.
    end: Option<BodyEnd>,
    /// The number of bytes that are still allowed.
    allowance: u64,
    limit: u64,
    overflow: Overflow,
}

/// The connection that a body is read from.
pub(super) struct Source<'f> {
    pub(super) incoming: Incoming<OriginStream>,
    pub(super) origin: Origin,
    /// Receives the connection after the body.
    pub(super) idle: &'f IdleConnections,
    /// True if the connection carried another exchange before.
    pub(super) is_reused: bool,
}

/// How a body ended.
#[derive(Debug)]
pub(crate) enum BodyEnd {
    /// The body is complete.
    Complete,
    /// The body was truncated at its limit, as the caller asked for.
    Truncated,
    /// The body is incomplete.
    Failed(FetchError),
    /// The body is complete but may belong to another request, because its reused
    /// connection carried more than one response. Another attempt gets a new connection.
    OutOfSync(FetchError),
}

/// The maximum number of bytes that are decoded at a time.
const DECODE_SIZE: usize = 8 << 10;

/// The maximum number of encoded bytes that are read at a time.
const READ_SIZE: usize = 16 << 10;

impl<'f> Body<'f> {
    /// Creates the body of a response to a request with `options`.
    pub(super) fn new(source: Source<'f>, decoder: Option<Decoder>, options: &Options) -> Self {
        let limit = options.max_body_bytes;
        let remaining = source.incoming.remaining();
        let is_known_too_large =
            decoder.is_none() && remaining.is_some_and(|remaining| remaining > limit);
        let mut body = Self {
            source: Some(source),
            decoder,
            part: Vec::new(),
            end: None,
            allowance: limit,
            limit,
            overflow: options.body_overflow,
        };
        if body.overflow == Overflow::Fail && is_known_too_large {
            body.end = Some(body.too_large());
        }
        body
    }

    /// Ends the body with `error` before it is read.
    pub(super) fn fail(&mut self, error: FetchError) {
        self.end = Some(BodyEnd::Failed(error));
    }

    /// Discards the body. Its connection is kept if no more bytes have to be read.
    pub(crate) async fn discard(mut self) {
        if let Some(source) = self.source.take() {
            // The result does not matter, because another attempt follows in any case.
            source
                .idle
                .discard(source.incoming, source.origin, source.is_reused)
                .await;
        }
    }

    /// Returns the next part of the body, and how the body ended if this is the last
    /// part. Every other part is full. Cancel-safe.
    pub(crate) async fn next_part(&mut self, clock: &Clock) -> (Bytes, Option<BodyEnd>) {
        while self.end.is_none() && self.part.len() < Part::MAX_BODY {
            self.read(clock).await;
        }
        if self.end.is_none() && self.decoder.is_none() {
            self.detect_end().await;
        }
        let mut part = std::mem::take(&mut self.part);
        // The queue counts the length of a part but not its capacity.
        if part.capacity() - part.len() > part.len() / 8 {
            part.shrink_to_fit();
        }
        (part.into(), self.end.take())
    }

    /// Reads or decodes some bytes.
    async fn read(&mut self, clock: &Clock) {
        self.end = match self.decode() {
            Ok(Decoded::Bytes(_)) => return,
            Ok(Decoded::End) => Some(self.complete().await),
            Ok(Decoded::NeedsInput) => self.receive(clock).await,
            // Lets other tasks run. The clock of this request goes on.
            Ok(Decoded::OutOfBudget) => match clock.total(task::yield_now()).await {
                Ok(()) => None,
                Err(passed) => Some(BodyEnd::Failed(error::body_timeout(passed))),
            },
            Err(error) => Some(BodyEnd::Failed(error::undecodable(&error))),
        };
    }

    /// Decodes some of the received bytes.
    fn decode(&mut self) -> io::Result<Decoded> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(Decoded::NeedsInput);
        };
        let mut buffer = [0; DECODE_SIZE];
        let room = Part::MAX_BODY - self.part.len();
        let result = decoder.read(&mut buffer[..room.min(DECODE_SIZE)])?;
        if let Decoded::Bytes(count) = result {
            self.part.extend_from_slice(&buffer[..count]);
            self.end = self.count(count);
        }
        Ok(result)
    }

    /// Reads from the connection, into the decoder if there is one.
    async fn receive(&mut self, clock: &Clock) -> Option<BodyEnd> {
        let Some(source) = &mut self.source else {
            return Some(BodyEnd::Complete);
        };
        let incoming = &mut source.incoming;
        if incoming.is_complete() {
            return match &mut self.decoder {
                Some(decoder) => {
                    decoder.finish();
                    None
                }
                None => Some(self.complete().await),
            };
        }
        let mut encoded = Vec::new();
        let before = self.part.len();
        let read = if self.decoder.is_some() {
            clock.idle(incoming.read(&mut encoded, READ_SIZE)).await
        } else {
            // One byte more than allowed shows that the body is too large.
            let allowance = usize::try_from(self.allowance).unwrap_or(usize::MAX);
            let limit = before
                .saturating_add(allowance)
                .saturating_add(1)
                .min(Part::MAX_BODY);
            clock.idle(incoming.read(&mut self.part, limit)).await
        };
        match read {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Some(BodyEnd::Failed(error::broken(&error, "the body"))),
            Err(passed) => return Some(BodyEnd::Failed(error::body_timeout(passed))),
        }
        if let Some(decoder) = &mut self.decoder {
            if !encoded.is_empty() {
                decoder.feed(encoded.into());
            }
            return None;
        }
        self.count(self.part.len() - before)
    }

    /// Detects whether the body ends with its last full part.
    async fn detect_end(&mut self) {
        let Some(source) = &mut self.source else {
            return;
        };
        let full = self.part.len();
        self.end = match source.incoming.take_buffered(&mut self.part, full) {
            Ok(()) if source.incoming.is_complete() => Some(self.complete().await),
            Ok(()) => None,
            Err(error) => Some(BodyEnd::Failed(error::broken(&error, "the body"))),
        };
    }

    /// Counts the last `count` bytes of the part, and removes those beyond the limit.
    fn count(&mut self, count: usize) -> Option<BodyEnd> {
        let surplus = (count as u64).saturating_sub(self.allowance);
        self.allowance = self.allowance.saturating_sub(count as u64);
        if surplus == 0 {
            return None;
        }
        let excess = usize::try_from(surplus).unwrap_or(usize::MAX);
        self.part.truncate(self.part.len().saturating_sub(excess));
        Some(match self.overflow {
            Overflow::Fail => self.too_large(),
            Overflow::Truncate => BodyEnd::Truncated,
        })
    }

    /// Ends a body that is complete, and keeps its connection if possible.
    async fn complete(&mut self) -> BodyEnd {
        let needs_check =
            |source: &Source<'_>| needs_sync_check(&source.incoming, source.is_reused);
        if self.source.as_ref().is_some_and(needs_check) {
            time::sleep(SYNC_CHECK).await;
        }
        // Taken only after the wait, because `next_part` is cancel-safe.
        let Some(source) = self.source.take() else {
            return BodyEnd::Complete;
        };
        let has_unexpected_data = source.idle.finish(source.incoming, source.origin);
        if source.is_reused && has_unexpected_data {
            BodyEnd::OutOfSync(error::out_of_sync())
        } else {
            BodyEnd::Complete
        }
    }

    fn too_large(&self) -> BodyEnd {
        let message = format!(
            "the body has more than {} bytes (max_body_bytes)",
            self.limit
        );
        BodyEnd::Failed(FetchError::new(Reason::BodyTooLarge, message))
    }
}
