//! Which calls are let in: no more batches, and no more bytes of their messages,
//! than the process has room for, and no more of one caller than its share.

use std::time::Duration;

use hyper::body::Incoming;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{draining, inbound::PER_REQUEST, message::Inbound};
use crate::{
    caller::Caller,
    config::Limits,
    shares::{Held, Quota},
};

/// The room for batches. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    batches: Quota,
    /// For request messages, in bytes.
    messages: Quota,
    max_message: usize,
    draining: CancellationToken,
    open: TaskTracker,
}

/// The room of one batch, from its message until its response is with the system.
pub(crate) struct Admitted {
    _batch: Held,
    message: Held,
    open: Option<TaskTrackerToken>,
}

/// A caller that holds this many times as much as is free gets no more: alone, it
/// leaves a thirty-second of the batches, and of the bytes, to the others.
const SHARE: usize = 31;

/// What a call takes beside its message: its headers, its stream, its tasks.
const PER_CALL: usize = 16 << 10;

/// When a caller that was refused for lack of room should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What there may be no room for.
const BATCHES: &str = "batches (--max-batches)";
pub(super) const ROOM: &str = "request messages (--max-queued-bytes)";

impl Admission {
    /// Room within `limits`, and none once `draining`. What is let in is counted
    /// in `open`.
    pub(crate) fn new(limits: &Limits, draining: CancellationToken, open: TaskTracker) -> Self {
        // So that the largest message fits, whatever the limits are.
        let of_largest = PER_CALL + PER_REQUEST * limits.max_batch_requests as usize;
        // Beside what one caller leaves to others.
        let least = (limits.max_request_bytes + of_largest) / SHARE * (SHARE + 1) + 2 * SHARE;
        let messages = (limits.max_queued_bytes + of_largest).max(least);
        Self {
            batches: Quota::new(limits.batches() as usize, SHARE),
            messages: Quota::new(messages, SHARE),
            max_message: limits.max_request_bytes,
            draining,
            open,
        }
    }

    /// Lets a call of `caller` in once its message is there, or says why not.
    pub(super) async fn admit(
        &self,
        body: Incoming,
        caller: Caller,
        timeout: Option<Duration>,
    ) -> Result<(bytes::Bytes, Admitted), Status> {
        let open = self.open.token();
        if !self.batches.allows(caller, 1) {
            return Err(full(BATCHES));
        }
        let mut room = self.messages.hold(caller);
        if !room.grow(PER_CALL) {
            return Err(full(ROOM));
        }
        let receiving = Inbound::receive(body, self.max_message, room, timeout);
        let (bytes, message) = tokio::select! {
            biased;
            () = self.draining.cancelled() => return Err(draining()),
            received = receiving => received?,
        };
        let batch = self.batches.take(caller, 1).ok_or_else(|| full(BATCHES))?;
        let admitted = Admitted {
            _batch: batch,
            message,
            open: Some(open),
        };
        Ok((bytes, admitted))
    }
}

impl Admitted {
    /// Notes that the batch has ended: a drain waits for it no more. Its room is held
    /// until the end is sent.
    pub(super) fn end(&mut self) {
        self.open = None;
    }

    /// Takes room for `bytes` more than the message has.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        let is_taken = self.message.grow(bytes);
        is_taken.then_some(()).ok_or_else(|| full(ROOM))
    }
}

/// Refuses a call for lack of room.
pub(crate) fn full(of: &str) -> Status {
    let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
    let message = format!(
        "the server has no room for more {of} of this caller; nothing was dispatched: \
         retry in {RETRY_AFTER:?}"
    );
    Status::with_error_details(Code::ResourceExhausted, message, details)
}
