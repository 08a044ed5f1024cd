//! Receives a call's request message into a single buffer. We reserve the memory for it
//! before the buffer grows.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{self, Duration, Instant};
use tonic::Status;

use super::status::{self, Limit};
use crate::shares::Reservation;

/// A partially received request message.
pub(super) struct InboundMessage {
    buffer: Vec<u8>,
    prefix: [u8; PREFIX],
    prefix_length: usize,
    max: usize,
    reservation: Reservation,
}

/// The length of the prefix in front of a gRPC message: one byte for the compression
/// flag, and four for the message length.
const PREFIX: usize = 5;

/// The buffer's initial capacity. It's less if the message is shorter.
const MIN_CAPACITY: usize = 4 << 10;

/// How long a message may take to arrive. The call fails with `DEADLINE_EXCEEDED` if it
/// takes longer.
const TIMEOUT: Duration = Duration::from_mins(1);

/// The minimum rate for a message that isn't complete yet: at least this many bytes have
/// to arrive in every interval, or else the call fails with `DEADLINE_EXCEEDED`.
const PACE: usize = 160 << 10;
const INTERVAL: Duration = Duration::from_secs(10);

impl InboundMessage {
    /// Receives a message of up to `max` bytes, which must be the only one in `body`. Its
    /// memory is added to `reservation`. Fails if the message isn't complete by
    /// `deadline`.
    pub(super) async fn receive(
        mut body: Incoming,
        max: usize,
        reservation: Reservation,
        deadline: Option<Instant>,
    ) -> Result<(Bytes, Reservation), Status> {
        let timeout = Instant::now() + TIMEOUT;
        let deadline = deadline.map_or(timeout, |deadline| deadline.min(timeout));
        let mut inbound = Self {
            buffer: Vec::new(),
            prefix: [0; PREFIX],
            prefix_length: 0,
            max,
            reservation,
        };
        time::timeout_at(deadline, inbound.read_all(&mut body))
            .await
            .map_err(|_| status::message_late())??;
        inbound.complete()
    }

    async fn read_all(&mut self, body: &mut Incoming) -> Result<(), Status> {
        let mut expected_by = Instant::now() + INTERVAL;
        let mut expected_length = PACE;
        while let Some(frame) = time::timeout_at(expected_by, body.frame())
            .await
            .map_err(|_| status::message_slow(PACE, INTERVAL))?
        {
            let frame = frame.map_err(|_| status::request_aborted())?;
            if let Ok(data) = frame.into_data() {
                self.push(&data)?;
            }
            if self.buffer.len() >= expected_length {
                expected_by = Instant::now() + INTERVAL;
                expected_length = self.buffer.len() + PACE;
            }
        }
        Ok(())
    }

    fn push(&mut self, mut data: &[u8]) -> Result<(), Status> {
        let missing = PREFIX - self.prefix_length;
        if missing > 0 {
            let (prefix, rest) = data.split_at(missing.min(data.len()));
            self.prefix[self.prefix_length..][..prefix.len()].copy_from_slice(prefix);
            self.prefix_length += prefix.len();
            data = rest;
            if self.prefix_length < PREFIX {
                return Ok(());
            }
            self.check_prefix()?;
        }
        let length = self.buffer.len() + data.len();
        if length > self.length() {
            return Err(status::second_message());
        }
        self.reserve(length)?;
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    fn check_prefix(&self) -> Result<(), Status> {
        if self.prefix[0] != 0 {
            return Err(status::message_compressed());
        }
        if self.length() > self.max {
            return Err(status::message_too_large(self.length(), self.max));
        }
        Ok(())
    }

    /// Returns the message length given in the prefix.
    fn length(&self) -> usize {
        let [_, length @ ..] = self.prefix;
        u32::from_be_bytes(length) as usize
    }

    /// Makes sure the buffer can hold `length` bytes. We at least double its capacity so
    /// that it doesn't have to grow often, but we never go beyond the message length.
    fn reserve(&mut self, length: usize) -> Result<(), Status> {
        let capacity = self.buffer.capacity();
        if length <= capacity {
            return Ok(());
        }
        let wanted = length.max(2 * capacity).max(MIN_CAPACITY);
        let new_capacity = wanted.min(self.length());
        if !self.reservation.grow(new_capacity - capacity) {
            return Err(status::server_full(Limit::QueuedBytes));
        }
        self.buffer.reserve_exact(new_capacity - self.buffer.len());
        Ok(())
    }

    fn complete(self) -> Result<(Bytes, Reservation), Status> {
        if self.prefix_length < PREFIX || self.buffer.len() < self.length() {
            return Err(status::message_incomplete());
        }
        Ok((self.buffer.into(), self.reservation))
    }
}
