//! The response stream of a call: it gathers the parts of a batch into messages.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::Stream;
use tokio::time::{self, Instant, Sleep};
use tonic::Status;

use super::{
    encoder::OutboundMessage, outbox::ResponsePermit, report::Report, stall::Watchdog, status,
};
use crate::{Code, response::Part, schedule::PartStream};

/// The messages of one batch. Dropping the stream stops the batch.
pub(crate) struct ResponseStream {
    parts: PartStream,
    /// The parts of the next message.
    gathered: Vec<Part>,
    /// The approximate size of `gathered` in bytes.
    size: usize,
    /// The tasks of the batch have had a turn to add to `gathered`.
    has_yielded: bool,
    report: Report,
    watchdog: Watchdog,
    /// The caller was told that it stalled.
    has_reported_stall: bool,
    heartbeat: Pin<Box<Sleep>>,
    last_sent: Instant,
    permit: ResponsePermit,
}

/// The items of the stream.
type Item = Result<OutboundMessage, Status>;

/// A message is sent once it has this size. The last part may exceed it, so that a
/// message stays below 512 KiB.
const MESSAGE: usize = 256 << 10;

/// An empty message is sent if no other was sent for this long, because callers and
/// proxies treat a silent call as dead.
const HEARTBEAT: Duration = Duration::from_secs(10);

impl ResponseStream {
    /// Returns the messages of `parts`. The `permit` is held until the stream ends.
    pub(super) fn new(
        parts: PartStream,
        report: Report,
        permit: ResponsePermit,
        watchdog: Watchdog,
    ) -> Self {
        Self {
            parts,
            gathered: Vec::new(),
            size: 0,
            has_yielded: false,
            report,
            watchdog,
            has_reported_stall: false,
            heartbeat: Box::pin(time::sleep(HEARTBEAT)),
            last_sent: Instant::now(),
            permit,
        }
    }

    /// Adds the parts that are ready to the next message. Returns true if no part will
    /// follow.
    fn gather(&mut self, cx: &mut Context<'_>) -> bool {
        while self.size < MESSAGE {
            match self.parts.poll_next(cx) {
                Poll::Ready(Some(part)) => {
                    self.size += part.weight();
                    self.report.note(&part);
                    self.gathered.push(part);
                }
                Poll::Ready(None) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }

    fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        if let Some(stall) = self.watchdog.stall() {
            let is_first = !std::mem::replace(&mut self.has_reported_stall, true);
            return Poll::Ready(is_first.then(|| Err(status::caller_stalled(stall))));
        }
        let is_last = self.gather(cx);
        if self.gathered.is_empty() {
            return if is_last {
                Poll::Ready(self.finish())
            } else {
                self.poll_heartbeat(cx)
            };
        }
        if !is_last && self.size < MESSAGE && !self.has_yielded {
            // Other tasks get one turn to add parts, because a message costs much more
            // than a part.
            self.has_yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.has_yielded = false;
        self.watchdog.sent(std::mem::take(&mut self.size));
        self.last_sent = Instant::now();
        let parts = std::mem::take(&mut self.gathered);
        Poll::Ready(Some(Ok(OutboundMessage(parts))))
    }

    /// Returns an empty message if none was sent for [`HEARTBEAT`].
    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> Poll<Option<Item>> {
        loop {
            ready!(self.heartbeat.as_mut().poll(cx));
            let due = self.last_sent + HEARTBEAT;
            let now = Instant::now();
            if due <= now {
                self.last_sent = now;
                return Poll::Ready(Some(Ok(OutboundMessage(Vec::new()))));
            }
            self.heartbeat.as_mut().reset(due);
        }
    }

    fn finish(&mut self) -> Option<Item> {
        match self.parts.take_unfinished() {
            0 => {
                self.report.end(Code::Ok);
                None
            }
            missing => {
                self.report.end(Code::Internal);
                tracing::error!(missing, "requests have no end, which is a bug");
                Some(Err(status::missing_ends(missing)))
            }
        }
    }
}

impl Stream for ResponseStream {
    type Item = Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.poll_message(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.permit.end();
        }
        // A yield to other tasks does not mean that the caller has caught up.
        if polled.is_ready() || !self.has_yielded {
            self.watchdog.polled(polled.is_ready());
        }
        polled
    }
}

impl Drop for ResponseStream {
    fn drop(&mut self) {
        if self.watchdog.stall().is_some() {
            self.report.end(Code::ResourceExhausted);
        }
    }
}
