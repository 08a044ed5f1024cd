//! The response body, decoded and split into parts of limited size.

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

/// A response body. It never holds more than one part, plus the bytes of a single read.
pub(crate) struct Body<'f> {
    /// `None` once the body is complete or has been discarded.
    source: Option<Source<'f>>,
    decoder: Option<Decoder>,
    /// What we have of the next part so far.
    part: Vec<u8>,
    /// Set once the body has ended.
    end: Option<BodyEnd>,
    /// How many more bytes we may still return.
    allowance: u64,
    limit: u64,
    overflow: Overflow,
}

/// The connection we're reading the body from.
pub(super) struct Source<'f> {
    pub(super) incoming: Incoming<OriginStream>,
    pub(super) origin: Origin,
    /// This is where the connection goes once the body is complete.
    pub(super) idle: &'f IdleConnections,
    /// Set if the connection has carried another exchange before this one.
    pub(super) is_reused: bool,
}

#[derive(Debug)]
pub(crate) enum BodyEnd {
    Complete,
    /// We cut off the body at its limit, which is what the caller asked for.
    Truncated,
    /// The body isn't complete.
    Failed(FetchError),
    /// The body is complete, but we can't be sure that it's the right one: the connection
    /// was reused, and it carried more than one response. If there's another attempt,
    /// it'll use a new connection.
    OutOfSync(FetchError),
}

/// Decode at most this many bytes at a time.
const DECODE_SIZE: usize = 8 << 10;

/// Read at most this many encoded bytes at a time.
const READ_SIZE: usize = 16 << 10;

impl<'f> Body<'f> {
    /// Creates the body for a response. The limit and what to do above it come from
    /// `options`.
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

    /// Ends the body with `error` before anything was read.
    pub(super) fn fail(&mut self, error: FetchError) {
        self.end = Some(BodyEnd::Failed(error));
    }

    /// Discards the body. If there's nothing left to read, we keep the connection.
    pub(crate) async fn discard(mut self) {
        if let Some(source) = self.source.take() {
            // We'll make another attempt in any case, so we don't care about the result.
            source
                .idle
                .discard(source.incoming, source.origin, source.is_reused)
                .await;
        }
    }

    /// Returns the next part of the body. If it's the last one, also returns how the body
    /// ended. All parts except for the last are full. Cancel-safe.
    pub(crate) async fn next_part(&mut self, clock: &Clock) -> (Bytes, Option<BodyEnd>) {
        while self.end.is_none() && self.part.len() < Part::MAX_BODY {
            self.read(clock).await;
        }
        if self.end.is_none() && self.decoder.is_none() {
            self.detect_end().await;
        }
        let mut part = std::mem::take(&mut self.part);
        // The queue only counts how long a part is, not its capacity. Don't let it hold
        // much more than it knows of.
        if part.capacity() - part.len() > part.len() / 8 {
            part.shrink_to_fit();
        }
        (part.into(), self.end.take())
    }

    /// Reads or decodes some more bytes.
    async fn read(&mut self, clock: &Clock) {
        self.end = match self.decode() {
            Ok(Decoded::Bytes(_)) => return,
            Ok(Decoded::End) => Some(self.complete().await),
            Ok(Decoded::NeedsInput) => self.receive(clock).await,
            // Give other tasks a chance to run. Meanwhile our own timeout keeps running.
            Ok(Decoded::OutOfBudget) => match clock.total(task::yield_now()).await {
                Ok(()) => None,
                Err(passed) => Some(BodyEnd::Failed(error::body_timeout(passed))),
            },
            Err(error) => Some(BodyEnd::Failed(error::undecodable(&error))),
        };
    }

    /// Decodes some of what we've received.
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

    /// Reads from the connection. If there's a decoder, the bytes are passed on to it.
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
            // Read one byte more than allowed. That's how we notice that the body is too
            // large.
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

    /// After a full part, checks if that was in fact the last one.
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

    /// Counts the last `count` bytes of the part. If that exceeds the limit, cuts off the
    /// surplus.
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

    /// Ends a complete body. If possible, we keep the connection.
    async fn complete(&mut self) -> BodyEnd {
        let needs_check =
            |source: &Source<'_>| needs_sync_check(&source.incoming, source.is_reused);
        if self.source.as_ref().is_some_and(needs_check) {
            time::sleep(SYNC_CHECK).await;
        }
        // `next_part` is cancel-safe, so don't take this before the wait is over.
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
