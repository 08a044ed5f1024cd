//! The body of a response, decoded, in parts of bounded size.

use std::io;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::task;

use super::fault;
use crate::{
    clock::Clock,
    decode::{Decoded, Decoder},
    request::{Options, Overflow},
    response::{FetchError, Part, Reason},
};

/// A body that is being read. Holds little more than one part.
pub(crate) struct Body {
    incoming: Incoming,
    decoder: Option<Decoder>,
    /// What was read and not yet handed out.
    ahead: BytesMut,
    /// How the reading ended.
    end: Option<BodyEnd>,
    /// How much more may come.
    allowance: u64,
    limit: u64,
    overflow: Overflow,
}

/// How much is decoded at a time.
const DECODED: usize = 8 << 10;

/// How a body ends.
#[derive(Debug)]
pub(crate) enum BodyEnd {
    /// Complete.
    Whole,
    /// Cut at its limit, as asked for.
    Truncated,
    /// Cut short.
    Failed(FetchError),
}

impl Body {
    /// The body of a response to a request with `options`, decoded by
    /// `decoder`.
    pub(super) fn new(incoming: Incoming, decoder: Option<Decoder>, options: &Options) -> Self {
        let limit = options.max_body_bytes;
        let mut body = Self {
            incoming,
            decoder,
            ahead: BytesMut::new(),
            end: None,
            allowance: limit,
            limit,
            overflow: options.body_overflow,
        };
        let is_known_too_large =
            body.decoder.is_none() && body.incoming.size_hint().lower() > limit;
        if body.overflow == Overflow::Fail && is_known_too_large {
            body.end = Some(body.too_large());
        }
        body
    }

    /// A body that is not read, because of `error`.
    pub(super) fn failed(incoming: Incoming, error: FetchError, options: &Options) -> Self {
        let mut body = Self::new(incoming, None, options);
        body.end = Some(BodyEnd::Failed(error));
        body
    }

    /// The next part of the body, and how the body ended where this is its
    /// last. A part without an end is full. Cancel-safe.
    pub(crate) async fn next_part(&mut self, clock: &Clock) -> (Bytes, Option<BodyEnd>) {
        // One byte more than a part shows that this is not the last.
        while self.end.is_none() && self.ahead.len() <= Part::MAX_BODY {
            self.read(clock).await;
        }
        let length = self.ahead.len().min(Part::MAX_BODY);
        let part = self.ahead.split_to(length).freeze();
        let end = if self.ahead.is_empty() {
            self.end.take()
        } else {
            None
        };
        (part, end)
    }

    /// Reads, or decodes, a little more.
    async fn read(&mut self, clock: &Clock) {
        self.end = match self.decode() {
            Ok(Decoded::Bytes(_)) => return,
            Ok(Decoded::End) => Some(BodyEnd::Whole),
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
        let step = decoder.read(&mut buffer)?;
        if let Decoded::Bytes(count) = step {
            self.end = self.take(&buffer[..count]);
        }
        Ok(step)
    }

    async fn receive(&mut self, clock: &Clock) -> Option<BodyEnd> {
        match clock.silence(self.incoming.frame()).await {
            Ok(Some(Ok(frame))) => match (frame.into_data(), &mut self.decoder) {
                (Ok(data), Some(decoder)) => {
                    decoder.feed(data);
                    None
                }
                (Ok(data), None) => self.take(&data),
                // Trailers are dropped.
                (Err(_), _) => None,
            },
            Ok(Some(Err(error))) => Some(BodyEnd::Failed(fault::broken_body(&error))),
            Ok(None) => match &mut self.decoder {
                Some(decoder) => {
                    decoder.finish();
                    None
                }
                None => Some(BodyEnd::Whole),
            },
            Err(passed) => Some(BodyEnd::Failed(fault::late_body(passed))),
        }
    }

    /// Keeps what is allowed of `data`. It is copied: a frame is a view into
    /// the connection's read buffer, and would keep all of that.
    fn take(&mut self, data: &[u8]) -> Option<BodyEnd> {
        if self.ahead.is_empty() && self.decoder.is_none() {
            let expected = data.len() as u64 + self.incoming.size_hint().lower();
            let expected = usize::try_from(expected).unwrap_or(usize::MAX);
            self.ahead.reserve(expected.min(Part::MAX_BODY));
        }
        let allowed = usize::try_from(self.allowance).unwrap_or(usize::MAX);
        let kept = data.len().min(allowed);
        self.ahead.extend_from_slice(&data[..kept]);
        self.allowance -= kept as u64;
        (kept < data.len()).then(|| match self.overflow {
            Overflow::Fail => self.too_large(),
            Overflow::Truncate => BodyEnd::Truncated,
        })
    }

    fn too_large(&self) -> BodyEnd {
        let message = format!(
            "the body has more than {} bytes (max_body_bytes)",
            self.limit
        );
        BodyEnd::Failed(FetchError::new(Reason::BodyTooLarge, message))
    }
}
