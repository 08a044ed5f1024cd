//! The parts between the tasks of a batch and its stream, bounded in bytes, so
//! that many small results are ready together and a few large ones are enough.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::response::Part;

/// The weight of the parts that may wait, in bytes: about one message.
const CAPACITY: usize = 256 << 10;

/// The end that a task holds.
#[derive(Clone)]
pub(super) struct Sender {
    parts: mpsc::UnboundedSender<Part>,
    room: Arc<Semaphore>,
    /// How many wait for room, in all queues.
    stalled: IntGauge,
}

/// The room for one part.
pub(super) struct Room<'a> {
    parts: &'a mpsc::UnboundedSender<Part>,
    room: SemaphorePermit<'a>,
}

/// One that waits for room.
struct Stalled<'a>(&'a IntGauge);

/// The end that the stream holds.
pub(super) struct Receiver {
    parts: mpsc::UnboundedReceiver<Part>,
    room: Arc<Semaphore>,
}

/// A queue for one batch. Who waits for room in it is counted in `stalled`.
pub(super) fn channel(stalled: IntGauge) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let room = Arc::new(Semaphore::new(CAPACITY));
    let sender = Sender {
        parts: sender,
        room: Arc::clone(&room),
        stalled,
    };
    let receiver = Receiver {
        parts: receiver,
        room,
    };
    (sender, receiver)
}

impl Sender {
    /// Waits for room for `part`, first come, first served. Cancelled before it
    /// completes, it has taken none.
    pub(super) async fn room_for(&self, part: &Part) -> Room<'_> {
        let weight = weight(part);
        let room = if let Ok(room) = self.room.try_acquire_many(weight) {
            room
        } else {
            let _stalled = Stalled::new(&self.stalled);
            let room = self.room.acquire_many(weight).await;
            room.expect("the semaphore is never closed")
        };
        Room {
            parts: &self.parts,
            room,
        }
    }
}

impl Room<'_> {
    /// Hands over `part`, for which the room is.
    pub(super) fn fill(self, part: Part) {
        self.room.forget();
        // Without a stream there is nobody to tell: its tasks are being
        // stopped.
        let _ = self.parts.send(part);
    }
}

impl<'a> Stalled<'a> {
    fn new(count: &'a IntGauge) -> Self {
        count.inc();
        Self(count)
    }
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Receiver {
    /// The next part, or `None` once every sender is gone and the queue empty.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = ready!(self.parts.poll_recv(cx));
        if let Some(part) = &part {
            self.room.add_permits(weight(part) as usize);
        }
        Poll::Ready(part)
    }
}

fn weight(part: &Part) -> u32 {
    let weight = part.weight().min(CAPACITY);
    u32::try_from(weight).expect("the capacity fits")
}
