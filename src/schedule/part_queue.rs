//! The queue that carries parts from a batch's tasks to its stream. It's bounded in
//! bytes, so it can hold either many small results or a few large ones.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::response::Part;

/// The sending half, used by the tasks.
#[derive(Clone)]
pub(super) struct Sender {
    parts: mpsc::UnboundedSender<Part>,
    capacity: Arc<Semaphore>,
    /// How many tasks are waiting for capacity, in all queues together.
    stalled: IntGauge,
}

/// Reserved capacity for one part.
pub(super) struct Permit<'a> {
    parts: &'a mpsc::UnboundedSender<Part>,
    capacity: SemaphorePermit<'a>,
}

/// The receiving half, used by the stream.
pub(super) struct Receiver {
    parts: mpsc::UnboundedReceiver<Part>,
    capacity: Arc<Semaphore>,
}

/// Counts a waiting task in the gauge for as long as it exists.
struct StalledCount<'a>(&'a IntGauge);

/// The maximum total weight of all queued parts, in bytes. That's about one message. A
/// sender waits if its part doesn't fit. A part that's larger than this counts as exactly
/// this much, so that it can still be sent.
const CAPACITY: usize = 256 << 10;

/// Creates a batch's queue. `stalled` counts the tasks that are waiting for capacity.
pub(super) fn channel(stalled: IntGauge) -> (Sender, Receiver) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let capacity = Arc::new(Semaphore::new(CAPACITY));
    let sender = Sender {
        parts: sender,
        capacity: Arc::clone(&capacity),
        stalled,
    };
    let receiver = Receiver {
        parts: receiver,
        capacity,
    };
    (sender, receiver)
}

impl Sender {
    /// Waits for enough capacity to send `part`. Tasks are served in order of arrival.
    /// Cancel-safe: if you cancel this, it doesn't take any capacity.
    pub(super) async fn reserve(&self, part: &Part) -> Permit<'_> {
        let weight = weight(part);
        let capacity = if let Ok(capacity) = self.capacity.try_acquire_many(weight) {
            capacity
        } else {
            let _stalled = StalledCount::new(&self.stalled);
            let capacity = self.capacity.acquire_many(weight).await;
            capacity.expect("the semaphore is never closed")
        };
        Permit {
            parts: &self.parts,
            capacity,
        }
    }

    /// Sends `part` once there's enough capacity.
    pub(super) async fn send(&self, part: Part) {
        self.reserve(&part).await.send(part);
    }
}

impl Permit<'_> {
    /// Sends `part`, using the reserved capacity.
    pub(super) fn send(self, part: Part) {
        self.capacity.forget();
        // This only fails if the stream was dropped, and then this task is being stopped
        // as well.
        let _ = self.parts.send(part);
    }
}

impl Receiver {
    /// Polls for the next part. Returns `None` once all senders are dropped and the queue
    /// is empty.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = ready!(self.parts.poll_recv(cx));
        if let Some(part) = &part {
            self.capacity.add_permits(weight(part) as usize);
        }
        Poll::Ready(part)
    }
}

impl<'a> StalledCount<'a> {
    fn new(gauge: &'a IntGauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for StalledCount<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn weight(part: &Part) -> u32 {
    let weight = part.weight().min(CAPACITY);
    u32::try_from(weight).expect("the capacity fits")
}
