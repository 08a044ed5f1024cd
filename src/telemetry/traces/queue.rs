//! The spans that are in memory, and the ended ones among them that wait for the exporter.

use std::sync::Arc;

use opentelemetry_sdk::trace::SpanData;
use parking_lot::Mutex;
use prometheus::IntCounter;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Holds the ended spans, and limits how many spans there are.
///
/// Every span has a place from its start until the collector has it. So the limit also
/// covers open spans, and those that are being exported.
pub(super) struct Queue {
    ended: Mutex<Vec<EndedSpan>>,
    places: Arc<Semaphore>,
    capacity: u32,
    /// When this many spans have ended, the exporter is woken up.
    batch: usize,
    full: Notify,
    /// Counts spans that were never exported.
    dropped: IntCounter,
}

/// Room for a span. Dropping it makes room for another one.
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A span that waits for the exporter, or is on its way to the collector.
pub(super) struct EndedSpan {
    data: SpanData,
    place: Place,
}

impl Queue {
    /// Creates a queue for up to `capacity` spans, which are exported in batches of `batch`.
    pub(super) fn new(capacity: u32, batch: u32, dropped: IntCounter) -> Self {
        let capacity = capacity.max(1);
        Self {
            ended: Mutex::default(),
            places: Arc::new(Semaphore::new(capacity as usize)),
            capacity,
            batch: batch.clamp(1, capacity) as usize,
            full: Notify::new(),
            dropped,
        }
    }

    /// Takes a place for a new span. If there's none left, the span counts as dropped.
    pub(super) fn enter(&self) -> Option<Place> {
        let permit = Arc::clone(&self.places).try_acquire_owned().ok();
        if permit.is_none() {
            self.dropped.inc();
        }
        permit.map(|permit| Place { _permit: permit })
    }

    /// Adds a span that has ended.
    pub(super) fn add(&self, data: SpanData, place: Place) {
        let mut ended = self.ended.lock();
        ended.push(EndedSpan { data, place });
        // One wake-up for a batch, rather than one for each span.
        if ended.len() == self.batch {
            self.full.notify_one();
        }
    }

    /// Takes the next batch if there are at least `least` ended spans, which is at least 1.
    pub(super) fn take(&self, least: usize) -> Option<Vec<EndedSpan>> {
        let mut ended = self.ended.lock();
        if ended.len() < least.max(1) {
            return None;
        }
        let count = ended.len().min(self.batch);
        Some(ended.drain(..count).collect())
    }

    /// Returns how many spans make a full batch.
    pub(super) fn batch(&self) -> usize {
        self.batch
    }

    /// Waits until there's a full batch. Cancel-safe.
    pub(super) async fn full(&self) {
        self.full.notified().await;
    }

    /// Waits until no span has a place. Until then, no new span gets one.
    pub(super) async fn empty(&self) {
        // The semaphore is never closed, and if it were, no span would get a place either.
        let _ = self.places.acquire_many(self.capacity).await;
    }

    /// Returns how many spans have a place.
    pub(super) fn len(&self) -> usize {
        self.capacity as usize - self.places.available_permits()
    }

    /// Counts spans that won't be exported.
    pub(super) fn count_dropped(&self, spans: usize) {
        self.dropped.inc_by(spans as u64);
    }
}

impl EndedSpan {
    /// Returns the span and its place.
    pub(super) fn split(self) -> (SpanData, Place) {
        (self.data, self.place)
    }
}
