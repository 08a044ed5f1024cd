//! Streams the body of a single request.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tonic::Streaming;

use super::{assembly::OTHER_SIZE, call::until_silent};
use crate::{
    client::{Error, failure::Failure, replicas::Service},
    proto::{FetchBatchRequest, FetchBatchResponse, FetchEnd, ResultPart},
};

/// The parts of a call that has a single result.
pub(super) struct Parts {
    responses: Streaming<FetchBatchResponse>,
    received: VecDeque<ResultPart>,
    /// True until the first message arrives.
    is_empty: bool,
    silence_timeout: Duration,
}

/// The part of a body that we haven't returned yet.
pub(super) struct BodyStream {
    parts: Parts,
    /// Bytes that we've received but not returned.
    buffer: Bytes,
    /// Number of bytes we've returned so far.
    handed_out: u64,
    end: Option<FetchEnd>,
}

impl Parts {
    /// Makes the call and waits for its response to begin.
    pub(super) async fn request(
        mut service: Service,
        message: FetchBatchRequest,
        silence_timeout: Duration,
    ) -> Result<Self, Failure> {
        let responses = until_silent(service.fetch_batch(message), silence_timeout).await??;
        Ok(Self {
            responses,
            received: VecDeque::new(),
            is_empty: true,
            silence_timeout,
        })
    }

    /// Returns the next part. It's an error if the stream ends here, so don't call this
    /// after the last part.
    pub(super) async fn next(&mut self) -> Result<ResultPart, Failure> {
        loop {
            if let Some(part) = self.received.pop_front() {
                if part.index == 0 {
                    return Ok(part);
                }
                let error = Error::contract("a part with an index out of range");
                return Err(Failure::lost(error));
            }
            let next = until_silent(self.responses.message(), self.silence_timeout).await?;
            let message = next.map_err(|status| Failure::interrupted(&status, self.is_empty))?;
            let Some(message) = message else {
                let error = Error::contract("the stream ended without an end");
                return Err(Failure::lost(error));
            };
            self.is_empty = false;
            self.received.extend(message.parts);
        }
    }

    /// Reads the call to its end. If we dropped it instead, the service would count it
    /// as cancelled. We ignore errors, since the result is complete at this point.
    async fn finish(&mut self) {
        while let Ok(Some(_)) = self.responses.message().await {}
    }
}

impl BodyStream {
    /// Creates a body stream that starts with `first` and goes on with `parts`. Set
    /// `end` if there aren't any further parts.
    pub(super) fn new(parts: Parts, first: Bytes, end: Option<FetchEnd>) -> Self {
        Self {
            parts,
            buffer: first,
            handed_out: 0,
            end,
        }
    }

    /// Converts to a stream of bytes. If the body is incomplete, the stream ends with an
    /// error.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::try_unfold(self, |mut body| async move {
            let bytes = body.next().await?;
            Ok(bytes.map(|bytes| (bytes, body)))
        })
    }

    /// Returns the next bytes, or `None` if we've returned the whole body.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if !self.buffer.is_empty() {
                self.handed_out += self.buffer.len() as u64;
                return Ok(Some(std::mem::take(&mut self.buffer)));
            }
            if let Some(end) = self.end.take() {
                return self.check(end).await.map(|()| None);
            }
            let part = self.parts.next().await.map_err(|failure| failure.error)?;
            if part.head.is_some() {
                return Err(Error::contract("a second head"));
            }
            self.buffer = part.body;
            self.end = part.end;
        }
    }

    /// Checks that we've got the whole body.
    async fn check(&mut self, end: FetchEnd) -> Result<(), Error> {
        if let Some(error) = end.error {
            return Err(Error::from_fetch(error));
        }
        self.parts.finish().await;
        if self.handed_out == end.body_bytes {
            Ok(())
        } else {
            Err(Error::contract(OTHER_SIZE))
        }
    }
}
