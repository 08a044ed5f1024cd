//! The message of a call, as it comes: into one buffer, which takes its room from
//! the process and from its caller's share before it grows.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{self, Duration, Instant};
use tonic::Status;

use super::admission::{ROOM, full};
use crate::shares::Held;

/// A message on its way in.
pub(super) struct Inbound {
    buffer: Vec<u8>,
    /// What comes before the message: whether it is compressed, and its length.
    prefix: [u8; PREFIX],
    prefix_length: usize,
    most: usize,
    room: Held,
}

/// Before each message of gRPC: compressed or not, and the length.
const PREFIX: usize = 5;

/// The least that is allocated for a message of unknown length.
const LEAST: usize = 4 << 10;

/// How long a message may take to arrive.
const UPLOAD: Duration = Duration::from_mins(1);

/// A message that is not complete must bring this many bytes in each interval.
const PACE: usize = 160 << 10;
const INTERVAL: Duration = Duration::from_secs(10);

impl Inbound {
    /// Receives the message of `body`, of at most `most` bytes, within `room`, and
    /// within `timeout` if there is one.
    pub(super) async fn receive(
        mut body: Incoming,
        most: usize,
        room: Held,
        timeout: Option<Duration>,
    ) -> Result<(Bytes, Held), Status> {
        let timeout = timeout.unwrap_or(UPLOAD).min(UPLOAD);
        let mut inbound = Self {
            buffer: Vec::new(),
            prefix: [0; PREFIX],
            prefix_length: 0,
            most,
            room,
        };
        let late = |_| Status::deadline_exceeded("the request message did not arrive in time");
        time::timeout(timeout, inbound.read_all(&mut body))
            .await
            .map_err(late)??;
        inbound.complete()
    }

    async fn read_all(&mut self, body: &mut Incoming) -> Result<(), Status> {
        let slow = |_| {
            Status::deadline_exceeded(format!(
                "the request message comes too slowly: at least {PACE} bytes in {INTERVAL:?} \
                 are expected until it is complete"
            ))
        };
        let mut expected_by = Instant::now() + INTERVAL;
        let mut enough = PACE;
        while let Some(frame) = time::timeout_at(expected_by, body.frame())
            .await
            .map_err(slow)?
        {
            let frame = frame.map_err(|_| Status::cancelled("the request broke off"))?;
            if let Ok(data) = frame.into_data() {
                self.push(&data)?;
            }
            if self.buffer.len() >= enough {
                expected_by = Instant::now() + INTERVAL;
                enough = self.buffer.len() + PACE;
            }
        }
        Ok(())
    }

    fn push(&mut self, mut data: &[u8]) -> Result<(), Status> {
        let missing = PREFIX - self.prefix_length;
        if missing > 0 {
            let (of_prefix, rest) = data.split_at(missing.min(data.len()));
            self.prefix[self.prefix_length..][..of_prefix.len()].copy_from_slice(of_prefix);
            self.prefix_length += of_prefix.len();
            data = rest;
            if self.prefix_length < PREFIX {
                return Ok(());
            }
            self.check_prefix()?;
        }
        let length = self.buffer.len() + data.len();
        if length > self.length() {
            return Err(Status::invalid_argument(
                "the call has more than one message; one is expected",
            ));
        }
        self.make_room(length)?;
        self.buffer.extend_from_slice(data);
        Ok(())
    }

    fn check_prefix(&self) -> Result<(), Status> {
        if self.prefix[0] != 0 {
            return Err(Status::unimplemented(
                "compressed messages are not accepted",
            ));
        }
        let (length, most) = (self.length(), self.most);
        if length > most {
            let message = format!("the message has {length} bytes; at most {most} are accepted");
            return Err(Status::out_of_range(message));
        }
        Ok(())
    }

    /// The length of the message, once the prefix is there.
    fn length(&self) -> usize {
        let [_, length @ ..] = self.prefix;
        u32::from_be_bytes(length) as usize
    }

    /// Makes room for `length` bytes: for more than comes at the moment, but never
    /// for more than the message has.
    fn make_room(&mut self, length: usize) -> Result<(), Status> {
        let capacity = self.buffer.capacity();
        if length > capacity {
            let wished = length.max(2 * capacity).max(LEAST).min(self.length());
            if !self.room.grow(wished - capacity) {
                return Err(full(ROOM));
            }
            self.buffer.reserve_exact(wished - self.buffer.len());
        }
        Ok(())
    }

    fn complete(self) -> Result<(Bytes, Held), Status> {
        if self.prefix_length < PREFIX || self.buffer.len() < self.length() {
            return Err(Status::invalid_argument("the call has no complete message"));
        }
        Ok((self.buffer.into(), self.room))
    }
}
