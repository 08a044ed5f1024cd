//! A call's response stream. It collects the parts of a batch and packs them into
//! messages.

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

/// The response messages of a batch. Dropping the stream stops the batch.
pub(crate) struct ResponseStream {
    parts: PartStream,
    /// Parts for the next message.
    gathered: Vec<Part>,
    /// Approximate size of `gathered`, in bytes.
    size: usize,
    /// Whether other tasks have had their chance to add to `gathered`.
    has_yielded: bool,
    report: Report,
    watchdog: Watchdog,
    /// Whether we've told the caller that it stalled.
    has_reported_stall: bool,
    heartbeat: Pin<Box<Sleep>>,
    last_sent: Instant,
    permit: ResponsePermit,
}

type Item = Result<OutboundMessage, Status>;

/// We send a message once it has reached this size. The last part may take it over that,
/// but a message always stays below 512 KiB.
const MESSAGE: usize = 256 << 10;

/// If we haven't sent anything for this long, we send an empty message. Callers and
/// proxies may consider a silent call dead otherwise.
const HEARTBEAT: Duration = Duration::from_secs(10);

impl ResponseStream {
    /// Creates the stream for `parts`. It holds `permit` until it ends.
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

    /// Adds all parts that are ready to the next message, up to its maximum size. Returns
    /// true if there are no more parts to come.
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
            // A message costs a lot more than a part. Before we send one, let the other
            // tasks run once, in case they have more parts for it.
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

    /// Returns an empty message if we haven't sent anything for [`HEARTBEAT`].
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
                self.report.log_missing(missing);
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
        // If we've only yielded to other tasks, the caller hasn't necessarily caught up.
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
