//! The body of one request, as a stream.

use std::{collections::VecDeque, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tonic::{Streaming, transport::Channel};

use super::{assembly::OTHER_SIZE, call::until_silent};
use crate::{
    client::{Error, failure::Failure},
    proto::{
        FetchBatchRequest, FetchBatchResponse, FetchEnd, ResultPart,
        fetch_service_client::FetchServiceClient,
    },
};

/// The parts of the only result of a call.
pub(super) struct Parts {
    responses: Streaming<FetchBatchResponse>,
    received: VecDeque<ResultPart>,
    /// True until the first message.
    is_empty: bool,
    silence_timeout: Duration,
}

/// The rest of a body.
pub(super) struct BodyStream {
    parts: Parts,
    /// The bytes that were received and are not handed out yet.
    buffer: Bytes,
    /// The number of bytes that were handed out.
    handed_out: u64,
    end: Option<FetchEnd>,
}

impl Parts {
    /// Makes the call.
    pub(super) async fn request(
        mut service: FetchServiceClient<Channel>,
        message: FetchBatchRequest,
        silence_timeout: Duration,
    ) -> Result<Self, Failure> {
        let response = until_silent(service.fetch_batch(message), silence_timeout).await?;
        let response = response.map_err(|status| Failure::before_response(&status))?;
        Ok(Self {
            responses: response.into_inner(),
            received: VecDeque::new(),
            is_empty: true,
            silence_timeout,
        })
    }

    /// Returns the next part. The stream must not end before the last one.
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

    /// Reads the call to its end, so that the service does not count it as cancelled.
    /// Errors are ignored: the result is complete.
    async fn finish(&mut self) {
        while let Ok(Some(_)) = self.responses.message().await {}
    }
}

impl BodyStream {
    /// Returns the stream of `first` and of the bytes in the rest of `parts`. `end` is
    /// set if there is no further part.
    pub(super) fn new(parts: Parts, first: Bytes, end: Option<FetchEnd>) -> Self {
        Self {
            parts,
            buffer: first,
            handed_out: 0,
            end,
        }
    }

    /// Returns the bytes of the body. An incomplete body ends with an error.
    pub(super) fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::try_unfold(self, |mut body| async move {
            let bytes = body.next().await?;
            Ok(bytes.map(|bytes| (bytes, body)))
        })
    }

    /// Returns the next bytes, or `None` after the last of a complete body.
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

    /// Checks that the body is complete.
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
