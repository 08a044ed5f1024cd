//! A batch's message. Its requests stay encoded until we need them.
//!
//! We decode a request when it's dispatched, and again for every retry. While it waits,
//! it only takes up its encoded bytes and a [`Span`].

use std::sync::Arc;

use bytes::Bytes;

use super::{
    field::{header, request as field},
    fields::{Fields, Malformed, merge},
    options,
};
use crate::{
    config::Config,
    proto,
    request::{EncodedRequests, InvalidRequest, Options, Request},
};

/// A batch's encoded requests.
pub(super) struct BatchMessage {
    message: Bytes,
    /// Where each request is in the message.
    spans: Vec<Span>,
    /// The batch's options. A request can override them.
    options: Options,
    config: Arc<Config>,
}

/// Where a request is in its message. Both fields are in bytes.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    length: u32,
}

/// Why a request couldn't be decoded.
enum DecodeError {
    Malformed(Malformed),
    Invalid(InvalidRequest),
}

/// How many bytes a waiting request takes up, not counting its encoded bytes. That's its
/// span, plus its index in the queue.
pub(super) const PER_REQUEST: usize = 16;

impl BatchMessage {
    /// Creates a batch from the requests at `spans` in `message`. A request uses the
    /// batch's `options` for everything it doesn't set itself.
    pub(super) fn new(
        message: Bytes,
        spans: Vec<Span>,
        options: Options,
        config: Arc<Config>,
    ) -> Self {
        Self {
            message,
            spans,
            options,
            config,
        }
    }

    fn read(&self, encoded: &[u8]) -> Result<Request, DecodeError> {
        let (mut url, mut method, mut body) = ("", "", &[][..]);
        let mut own_options: Option<proto::FetchOptions> = None;
        let mut header_lines = 0;
        for found in Fields::of(encoded) {
            let (number, value) = found?;
            match number {
                field::URL => url = value.text(number)?,
                field::METHOD => method = value.text(number)?,
                field::BODY => body = value.bytes(number)?,
                field::OPTIONS => {
                    let options = own_options.get_or_insert_default();
                    merge(options, value.bytes(number)?, number)?;
                }
                field::HEADERS => {
                    header_lines += 1;
                    check_header_lines(header_lines)?;
                }
                _ => {}
            }
        }
        let mut request = Request::new(url, method)?;
        // Most requests don't have any headers, so they can skip the second pass.
        if header_lines > 0 {
            self.add_headers(&mut request, encoded)?;
        }
        request.body = self.message.slice_ref(body);
        request.options = match own_options {
            Some(own) => options::merged(&own, self.options, &self.config)?,
            None => self.options,
        };
        Ok(request)
    }

    fn add_headers(&self, request: &mut Request, encoded: &[u8]) -> Result<(), DecodeError> {
        for found in Fields::of(encoded) {
            if let (field::HEADERS, line) = found? {
                self.add_header(request, line.bytes(field::HEADERS)?)?;
            }
        }
        Ok(())
    }

    fn add_header(&self, request: &mut Request, line: &[u8]) -> Result<(), DecodeError> {
        let (mut name, mut value) = ("", &[][..]);
        for found in Fields::of(line) {
            match found? {
                (header::NAME, text) => name = text.text(header::NAME)?,
                (header::VALUE, bytes) => value = bytes.bytes(header::VALUE)?,
                _ => {}
            }
        }
        Ok(request.add_header(name, self.message.slice_ref(value))?)
    }
}

/// Fails if there are too many header lines.
///
/// This runs before we decode any of them. Otherwise a request full of empty lines, which
/// take only two bytes each, would be expensive.
fn check_header_lines(count: usize) -> Result<(), InvalidRequest> {
    let max = Request::MAX_HEADERS;
    if count > max {
        let problem = format!("expected at most {max} lines");
        return Err(InvalidRequest::new("headers", problem));
    }
    Ok(())
}

impl Span {
    /// Creates the span of `length` bytes that begins at `start`.
    pub(super) fn new(start: usize, length: usize) -> Self {
        const FITS: &str = "the length of a gRPC message has 32 bits";

        Self {
            start: u32::try_from(start).expect(FITS),
            length: u32::try_from(length).expect(FITS),
        }
    }
}

impl EncodedRequests for BatchMessage {
    fn count(&self) -> u32 {
        u32::try_from(self.spans.len()).expect("a batch has at most --max-batch-requests requests")
    }

    fn decode(&self, index: u32) -> Result<Request, InvalidRequest> {
        let Some(span) = self.spans.get(index as usize) else {
            let problem = format!("expected an index below {}, got {index}", self.count());
            return Err(InvalidRequest::new("requests", problem));
        };
        let encoded = &self.message[span.start as usize..][..span.length as usize];
        self.read(encoded).map_err(|error| match error {
            DecodeError::Invalid(invalid) => invalid,
            // This shouldn't happen, because we'd have rejected the whole batch.
            DecodeError::Malformed(malformed) => {
                InvalidRequest::new("requests", malformed.to_string())
            }
        })
    }
}

impl From<Malformed> for DecodeError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<InvalidRequest> for DecodeError {
    fn from(invalid: InvalidRequest) -> Self {
        Self::Invalid(invalid)
    }
}
