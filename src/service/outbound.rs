//! The parts of a batch become messages: as many as are ready in one.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::Stream;
use tokio::time::{self, Instant, Sleep};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tonic::Status;

use super::{
    admission::Admitted,
    outbox::Outbox,
    report::Report,
    stall::{self, Reading},
    wire::Message,
};
use crate::{
    Code,
    response::Part,
    schedule::{AbortHandle, PartStream},
};

/// The stream of a call. Dropping it stops the batch.
pub(crate) struct Responses {
    parts: PartStream,
    /// The next message, as far as it is gathered.
    gathered: Vec<Part>,
    /// Its size, about.
    size: usize,
    /// Whether the tasks of the batch had their turn since it was begun.
    yielded: bool,
    report: Report,
    /// Its caller was told that it was given up.
    has_said_why: bool,
    reading: Reading,
    give_up: AbortHandle,
    /// Sends an empty message if nothing else was sent.
    heartbeat: Pin<Box<Sleep>>,
    last_sent: Instant,
    /// Gives the batch up if the caller takes nothing.
    _stall: AbortOnDropHandle<()>,
    room: Room,
}

/// The room of a call, and where it goes when the call has ended.
pub(super) struct Room {
    admitted: Option<Admitted>,
    outbox: Outbox,
}

/// A message is sent once it has this size. One part more may have come on
/// top, so that a message stays below 512 KiB.
const MESSAGE: usize = 256 << 10;

/// An empty message is sent after this long without another: callers, and proxies
/// on the way to them, take a silent call for a dead one.
const HEARTBEAT: Duration = Duration::from_secs(10);

impl Room {
    /// The room that was `admitted`, which goes to `outbox` at the end of the
    /// response.
    pub(super) fn new(admitted: Admitted, outbox: Outbox) -> Self {
        Self {
            admitted: Some(admitted),
            outbox,
        }
    }

    fn end(&mut self) {
        if let Some(mut admitted) = self.admitted.take() {
            admitted.end();
            self.outbox.push(admitted);
        }
    }
}

impl Responses {
    /// The messages of `parts`. The `room` is held as long as the stream, and then
    /// until its end is with the system. A caller that does not read within the
    /// limits of `stall` is given up, and `cut` cancelled a while later.
    pub(super) fn new(
        parts: PartStream,
        report: Report,
        room: Room,
        stall: stall::Limits,
        cut: CancellationToken,
    ) -> Self {
        let (reading, give_up) = (Reading::default(), parts.abort_handle());
        let watching = stall::watch(reading.clone(), give_up.clone(), stall, cut);
        Self {
            parts,
            gathered: Vec::new(),
            size: 0,
            yielded: false,
            report,
            has_said_why: false,
            reading,
            give_up,
            heartbeat: Box::pin(time::sleep(HEARTBEAT)),
            last_sent: Instant::now(),
            _stall: AbortOnDropHandle::new(tokio::spawn(watching)),
            room,
        }
    }

    /// Adds what is ready to the message. True: nothing else will come.
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

    fn next_message(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Status>>> {
        if self.give_up.is_aborted() {
            return Poll::Ready(self.end_given_up());
        }
        let is_last = self.gather(cx);
        if self.gathered.is_empty() {
            return if is_last {
                Poll::Ready(self.finish())
            } else {
                self.poll_heartbeat(cx)
            };
        }
        if !is_last && self.size < MESSAGE && !self.yielded {
            // Whoever is ready besides has one turn to add its part: a message
            // costs much more than a part.
            self.yielded = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.yielded = false;
        self.reading.gave(std::mem::take(&mut self.size));
        self.last_sent = Instant::now();
        let parts = std::mem::take(&mut self.gathered);
        Poll::Ready(Some(Ok(Message(parts))))
    }

    /// An empty message once nothing was sent for a while.
    fn poll_heartbeat(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Status>>> {
        loop {
            ready!(self.heartbeat.as_mut().poll(cx));
            let due = self.last_sent + HEARTBEAT;
            let now = Instant::now();
            if due <= now {
                self.last_sent = now;
                return Poll::Ready(Some(Ok(Message(Vec::new()))));
            }
            self.heartbeat.as_mut().reset(due);
        }
    }

    /// Why nothing comes any more, once.
    fn end_given_up(&mut self) -> Option<Result<Message, Status>> {
        let is_first = !std::mem::replace(&mut self.has_said_why, true);
        is_first.then(|| Err(Status::resource_exhausted(self.reading.fault())))
    }

    fn finish(&mut self) -> Option<Result<Message, Status>> {
        match self.parts.take_unfinished() {
            0 => {
                self.report.end(Code::Ok);
                None
            }
            missing => {
                self.report.end(Code::Internal);
                tracing::error!(missing, "requests without an end: a fault of the service");
                let message = format!("{missing} requests have had no end: a fault of the service");
                Some(Err(Status::internal(message)))
            }
        }
    }
}

impl Stream for Responses {
    type Item = Result<Message, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.next_message(cx);
        if let Poll::Ready(None | Some(Err(_))) = polled {
            self.room.end();
        }
        // A turn for others is not a wait for more.
        if polled.is_ready() || !self.yielded {
            self.reading.asked(polled.is_ready());
        }
        polled
    }
}

impl Drop for Responses {
    fn drop(&mut self) {
        if self.give_up.is_aborted() {
            self.report.end(Code::ResourceExhausted);
        }
    }
}
