//! The body of a response, decoded, in parts of bounded size.

use std::{io, time::Duration};

use bytes::Bytes;
use tokio::{task, time};

use super::{Idle, fault};
use crate::{
    clock::Clock,
    connect::{Origin, OriginStream},
    decode::{Decoded, Decoder},
    http1::Incoming,
    request::{Options, Overflow},
    response::{FetchError, Part, Reason},
};

/// A body that is being read. Holds one part, and what one read brought.
pub(crate) struct Body<'f> {
    /// Gone once the body is over, or not wanted any more.
    link: Option<Link<'f>>,
    decoder: Option<Decoder>,
    /// The next part, as far as it was read.
    part: Vec<u8>,
    /// How the reading ended.
    end: Option<BodyEnd>,
    /// How much more may come.
    allowance: u64,
    limit: u64,
    overflow: Overflow,
}

/// Where a body comes from, and where its connection goes.
pub(super) struct Link<'f> {
    pub(super) incoming: Incoming<OriginStream>,
    pub(super) origin: Origin,
    pub(super) idle: &'f Idle,
    /// The connection had carried a request before.
    pub(super) is_reused: bool,
}

/// How long the first response on a reused connection is held back, to see whether
/// another follows it: then it is out of step, and either may be the answer.
pub(super) const PROBATION: Duration = Duration::from_millis(1);

/// How much is decoded at a time.
const DECODED: usize = 8 << 10;

/// How much is read at a time to be decoded.
const ENCODED: usize = 16 << 10;

/// How a body ends.
#[derive(Debug)]
pub(crate) enum BodyEnd {
    /// Complete.
    Whole,
    /// Cut at its limit, as asked for.
    Truncated,
    /// Cut short.
    Failed(FetchError),
    /// Complete, but perhaps not of this request: its connection was reused, and
    /// brought more than one response. A new one will not be reused.
    Doubtful(FetchError),
}

impl Link<'_> {
    fn is_on_probation(&self) -> bool {
        self.is_reused && self.incoming.exchanges() == 2
    }
}

impl<'f> Body<'f> {
    /// The body of a response to a request with `options`, decoded by
    /// `decoder`.
    pub(super) fn new(link: Link<'f>, decoder: Option<Decoder>, options: &Options) -> Self {
        let limit = options.max_body_bytes;
        let remaining = link.incoming.remaining();
        let is_known_too_large =
            decoder.is_none() && remaining.is_some_and(|remaining| remaining > limit);
        let mut body = Self {
            link: Some(link),
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

    /// Ends the body with `error`, before it is read.
    pub(super) fn fail(&mut self, error: FetchError) {
        self.end = Some(BodyEnd::Failed(error));
    }

    /// Lets go of a body that is not wanted. Its connection is kept if nothing
    /// more has to be read from it.
    pub(crate) async fn discard(mut self) {
        if let Some(link) = self.link.take() {
            let discarded = link
                .idle
                .discard(link.incoming, link.origin, link.is_reused);
            // Another attempt follows in any case.
            discarded.await;
        }
    }

    /// The next part of the body, and how the body ended if this is its last.
    /// A part without an end is full. Cancel-safe.
    pub(crate) async fn next_part(&mut self, clock: &Clock) -> (Bytes, Option<BodyEnd>) {
        while self.end.is_none() && self.part.len() < Part::MAX_BODY {
            self.read(clock).await;
        }
        if self.end.is_none() && self.decoder.is_none() {
            self.find_end().await;
        }
        let mut part = std::mem::take(&mut self.part);
        // The queue counts bytes, and not what they were read into.
        if part.capacity() - part.len() > part.len() / 8 {
            part.shrink_to_fit();
        }
        (part.into(), self.end.take())
    }

    /// Reads, or decodes, a little more.
    async fn read(&mut self, clock: &Clock) {
        self.end = match self.decode() {
            Ok(Decoded::Bytes(_)) => return,
            Ok(Decoded::End) => Some(self.whole().await),
            Ok(Decoded::Hungry) => self.receive(clock).await,
            // Work for this body alone: others have their turn, and its clock
            // runs on.
            Ok(Decoded::Busy) => match clock.total(task::yield_now()).await {
                Ok(()) => None,
                Err(passed) => Some(BodyEnd::Failed(fault::late_body(passed))),
            },
            Err(error) => Some(BodyEnd::Failed(fault::undecodable(&error))),
        };
    }

    /// Decodes a little of what was received.
    fn decode(&mut self) -> io::Result<Decoded> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(Decoded::Hungry);
        };
        let mut buffer = [0; DECODED];
        let room = Part::MAX_BODY - self.part.len();
        let step = decoder.read(&mut buffer[..room.min(DECODED)])?;
        if let Decoded::Bytes(count) = step {
            self.part.extend_from_slice(&buffer[..count]);
            self.end = self.count(count);
        }
        Ok(step)
    }

    async fn receive(&mut self, clock: &Clock) -> Option<BodyEnd> {
        let Some(link) = &mut self.link else {
            return Some(BodyEnd::Whole);
        };
        let incoming = &mut link.incoming;
        if incoming.is_over() {
            return match &mut self.decoder {
                Some(decoder) => {
                    decoder.finish();
                    None
                }
                None => Some(self.whole().await),
            };
        }
        let mut encoded = Vec::new();
        let before = self.part.len();
        let read = if self.decoder.is_some() {
            clock.idle(incoming.read(&mut encoded, ENCODED)).await
        } else {
            // One byte more than is allowed shows that there are too many.
            let allowance = usize::try_from(self.allowance).unwrap_or(usize::MAX);
            let limit = before.saturating_add(allowance).saturating_add(1);
            let limit = limit.min(Part::MAX_BODY);
            clock.idle(incoming.read(&mut self.part, limit)).await
        };
        match read {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Some(BodyEnd::Failed(fault::broken(&error, "the body"))),
            Err(passed) => return Some(BodyEnd::Failed(fault::late_body(passed))),
        }
        if let Some(decoder) = &mut self.decoder {
            if !encoded.is_empty() {
                decoder.feed(encoded.into());
            }
            return None;
        }
        self.count(self.part.len() - before)
    }

    /// Looks whether a body whose last part is full has come to its end.
    async fn find_end(&mut self) {
        let Some(link) = &mut self.link else {
            return;
        };
        let full = self.part.len();
        self.end = match link.incoming.take_buffered(&mut self.part, full) {
            Ok(()) if link.incoming.is_over() => Some(self.whole().await),
            Ok(()) => None,
            Err(error) => Some(BodyEnd::Failed(fault::broken(&error, "the body"))),
        };
    }

    /// Counts the last `count` bytes of the part, and cuts it if they are more
    /// than is allowed.
    fn count(&mut self, count: usize) -> Option<BodyEnd> {
        let surplus = (count as u64).saturating_sub(self.allowance);
        self.allowance = self.allowance.saturating_sub(count as u64);
        if surplus == 0 {
            return None;
        }
        let surplus = usize::try_from(surplus).unwrap_or(usize::MAX);
        self.part.truncate(self.part.len().saturating_sub(surplus));
        Some(match self.overflow {
            Overflow::Fail => self.too_large(),
            Overflow::Truncate => BodyEnd::Truncated,
        })
    }

    /// The end of a body that is complete, whose connection may be kept.
    async fn whole(&mut self) -> BodyEnd {
        if self.link.as_ref().is_some_and(Link::is_on_probation) {
            time::sleep(PROBATION).await;
        }
        let Some(link) = self.link.take() else {
            return BodyEnd::Whole;
        };
        let is_reused = link.is_reused;
        let has_surplus = link.idle.settle(link.incoming, link.origin);
        if is_reused && has_surplus {
            BodyEnd::Doubtful(fault::doubtful())
        } else {
            BodyEnd::Whole
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
