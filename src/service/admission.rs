//! Admission: which calls may start a batch. The process has room for a limited number
//! of batches and of bytes of their messages, and each caller for its share of them.

use bytes::Bytes;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::Status;

use super::{
    batch_message::PER_REQUEST,
    message::InboundMessage,
    status::{self, Limit},
};
use crate::{
    caller::Caller,
    config::Limits,
    shares::{Quota, Reservation},
};

/// Admits calls within the limits of the process. Cheap to clone; all clones share one
/// state.
#[derive(Clone)]
pub(crate) struct Admission {
    batches: Quota,
    /// Bytes of request messages.
    messages: Quota,
    max_message: usize,
    draining: CancellationToken,
    open: TaskTracker,
}

/// The right to run one batch, held until the end of its response is written.
pub(crate) struct Permit {
    _batch: Reservation,
    message: Reservation,
    /// Counts the batch as open, until its response ends.
    open: Option<TaskTrackerToken>,
}

/// A caller that holds this many times the free amount gets no more: alone, it leaves a
/// thirty-second of the batches, and of the bytes, to others.
const SHARE_RATIO: usize = 31;

/// The bytes that a call takes besides its message: headers, stream and tasks.
const PER_CALL: usize = 16 << 10;

impl Admission {
    /// Returns an admission within `limits` that rejects all calls once `draining` is
    /// cancelled. Admitted batches are counted in `open`.
    pub(crate) fn new(limits: &Limits, draining: CancellationToken, open: TaskTracker) -> Self {
        let overhead = PER_CALL + PER_REQUEST * limits.max_batch_requests as usize;
        // The largest message must fit, whatever the limits are, in the part that one
        // caller may take.
        let largest = limits.max_request_bytes + overhead;
        let min = largest / SHARE_RATIO * (SHARE_RATIO + 1) + 2 * SHARE_RATIO;
        let messages = (limits.max_queued_bytes + overhead).max(min);
        Self {
            batches: Quota::new(limits.batches() as usize, SHARE_RATIO),
            messages: Quota::new(messages, SHARE_RATIO),
            max_message: limits.max_request_bytes,
            draining,
            open,
        }
    }

    /// Receives the message of a call, by `deadline`, and then admits the call.
    pub(super) async fn admit(
        &self,
        body: Incoming,
        caller: Caller,
        deadline: Option<Instant>,
    ) -> Result<(Bytes, Permit), Status> {
        let open = self.open.token();
        let batches_full = || status::server_full(Limit::Batches);
        // The batch is reserved after the message has arrived, so that a caller that
        // sends it slowly takes no batch from others.
        if !self.batches.allows(caller, 1) {
            return Err(batches_full());
        }
        let reserved = self.messages.reserve(caller, PER_CALL);
        let reservation = reserved.ok_or_else(|| status::server_full(Limit::QueuedBytes))?;
        let receiving = InboundMessage::receive(body, self.max_message, reservation, deadline);
        let (bytes, message) = tokio::select! {
            biased;
            () = self.draining.cancelled() => return Err(status::draining()),
            received = receiving => received?,
        };
        let batch = self.batches.reserve(caller, 1).ok_or_else(batches_full)?;
        let permit = Permit {
            _batch: batch,
            message,
            open: Some(open),
        };
        Ok((bytes, permit))
    }
}

impl Permit {
    /// Notes that the batch has ended: a drain no longer waits for it.
    pub(super) fn end(&mut self) {
        self.open = None;
    }

    /// Reserves `bytes` more than the message has.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        if self.message.grow(bytes) {
            Ok(())
        } else {
            Err(status::server_full(Limit::QueuedBytes))
        }
    }
}
