//! The queue of parts between the tasks of a batch and its stream. It is bounded in
//! bytes, so that it holds many small results or a few large ones.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use prometheus::IntGauge;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};

use crate::response::Part;

/// The sending half, for the tasks.
#[derive(Clone)]
pub(super) struct Sender {
    parts: mpsc::UnboundedSender<Part>,
    capacity: Arc<Semaphore>,
    /// The number of tasks that wait for capacity, in all queues.
    stalled: IntGauge,
}

/// The capacity to send one part.
pub(super) struct Permit<'a> {
    parts: &'a mpsc::UnboundedSender<Part>,
    capacity: SemaphorePermit<'a>,
}

/// The receiving half, for the stream.
pub(super) struct Receiver {
    parts: mpsc::UnboundedReceiver<Part>,
    capacity: Arc<Semaphore>,
}

/// Counts a waiting task in a gauge until it is dropped.
struct StalledCount<'a>(&'a IntGauge);

/// The total weight of the queued parts, in bytes: about one message.
const CAPACITY: usize = 256 << 10;

/// Creates the queue of one batch. Tasks that wait for capacity are counted in
/// `stalled`.
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
    /// Waits for the capacity to send `part`, first come, first served. Cancel-safe:
    /// a cancelled call takes none.
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

    /// Sends `part` as soon as there is capacity for it.
    pub(super) async fn send(&self, part: Part) {
        self.reserve(&part).await.send(part);
    }
}

impl Permit<'_> {
    /// Sends `part`, for which the capacity was reserved.
    pub(super) fn send(self, part: Part) {
        self.capacity.forget();
        // Sending fails only if the stream was dropped, which also stops this task.
        let _ = self.parts.send(part);
    }
}

impl Receiver {
    /// Polls for the next part. Returns `None` after the last, once all senders are
    /// dropped.
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
