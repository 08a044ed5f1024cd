//! Decides which calls may start a batch.
//!
//! The process only has room for so many batches, and for so many bytes of request
//! messages. Each caller can take a share of both.

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

/// Admits calls as long as the process has room for them.
///
/// Cheap to clone; all clones share their state.
#[derive(Clone)]
pub(crate) struct Admission {
    batches: Quota,
    /// Limits the bytes of request messages.
    messages: Quota,
    max_message: usize,
    draining: CancellationToken,
    open: TaskTracker,
}

/// Permission to run a batch. We hold on to it until the last bytes of the response are
/// written.
pub(crate) struct Permit {
    _batch: Reservation,
    message: Reservation,
    /// Keeps a drain waiting until the response ends.
    open: Option<TaskTrackerToken>,
}

/// A caller that holds this many times as much as is free gets no more. So a single
/// caller leaves 1/32 of the batches, and of the bytes, to others.
const SHARE_RATIO: usize = 31;

/// Estimated size in bytes of everything about a call except its message: headers, stream
/// and tasks.
const PER_CALL: usize = 16 << 10;

impl Admission {
    /// Creates an admission that enforces `limits`. It rejects all calls once `draining`
    /// is cancelled. Admitted batches are counted in `open`.
    pub(crate) fn new(limits: &Limits, draining: CancellationToken, open: TaskTracker) -> Self {
        let overhead = PER_CALL + PER_REQUEST * limits.max_batch_requests as usize;
        // No matter how low the limit on queued bytes is, a single caller's share has to
        // fit the largest message we accept. Otherwise, such a message would always be
        // rejected.
        let largest = limits.max_request_bytes + overhead;
        let min = largest / SHARE_RATIO * (SHARE_RATIO + 1) + 2 * SHARE_RATIO;
        let messages = (limits.max_queued_bytes + overhead).max(min);
        let max_per_caller = match limits.max_batches_per_caller {
            0 => usize::MAX,
            max => max as usize,
        };
        Self {
            batches: Quota::new(limits.batches() as usize, SHARE_RATIO)
                .with_max_per_caller(max_per_caller),
            messages: Quota::new(messages, SHARE_RATIO),
            max_message: limits.max_request_bytes,
            draining,
            open,
        }
    }

    /// Receives a call's message and then admits the call. Fails if the message isn't
    /// there by `deadline`.
    pub(super) async fn admit(
        &self,
        body: Incoming,
        caller: Caller,
        deadline: Option<Instant>,
    ) -> Result<(Bytes, Permit), Status> {
        let open = self.open.token();
        // Only check for now, and reserve the batch when the message has arrived. This
        // way, a caller that's slow to send its message doesn't keep others from running
        // a batch.
        if !self.batches.allows(caller, 1) {
            return Err(self.batches_full(caller));
        }
        let reserved = self.messages.reserve(caller, PER_CALL);
        let reservation = reserved.ok_or_else(|| status::server_full(Limit::QueuedBytes))?;
        let receiving = InboundMessage::receive(body, self.max_message, reservation, deadline);
        let (bytes, message) = tokio::select! {
            biased;
            () = self.draining.cancelled() => return Err(status::draining()),
            received = receiving => received?,
        };
        let batch = self.batches.reserve(caller, 1);
        let batch = batch.ok_or_else(|| self.batches_full(caller))?;
        let permit = Permit {
            _batch: batch,
            message,
            open: Some(open),
        };
        Ok((bytes, permit))
    }

    /// Returns how many batches are admitted, until the last bytes of their responses.
    pub(super) fn open_batches(&self) -> usize {
        self.batches.held()
    }

    /// Returns how many bytes of request messages are held.
    pub(super) fn queued_bytes(&self) -> usize {
        self.messages.held()
    }

    fn batches_full(&self, caller: Caller) -> Status {
        status::server_full(if self.batches.is_used_up_by(caller) {
            Limit::BatchesPerCaller
        } else {
            Limit::Batches
        })
    }
}

impl Permit {
    /// Marks the batch as ended, so that a drain doesn't wait for it anymore.
    pub(super) fn end(&mut self) {
        self.open = None;
    }

    /// Reserves `bytes` on top of the bytes already reserved for the message.
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Status> {
        if self.message.grow(bytes) {
            Ok(())
        } else {
            Err(status::server_full(Limit::QueuedBytes))
        }
    }
}
