//! List outcomes in request order.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt};

use super::Outcomes;
use crate::client::{Outage, Outcome};

/// A stream of list outcomes in request order. Each is returned as soon as it and all
/// earlier ones have arrived.
///
/// Outcomes that arrive early have to be buffered. Once we hold 10,000 of them (or 64
/// MiB of bodies), we don't send any more requests until the missing outcome has
/// arrived.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct InOrder {
    outcomes: Outcomes,
    buffered: BTreeMap<usize, Outcome>,
    /// Total body size of the buffered outcomes, in bytes.
    buffered_bytes: usize,
    /// Position of the outcome to return next.
    next: usize,
}

/// If the buffer reaches either limit, we stop taking new requests. Requests already
/// sent may still push it beyond the limit.
const MAX_BUFFERED: usize = 10_000;
const MAX_BUFFERED_BYTES: usize = 64 << 20;

impl InOrder {
    pub(in crate::client) fn new(outcomes: Outcomes) -> Self {
        Self {
            outcomes,
            buffered: BTreeMap::new(),
            buffered_bytes: 0,
            next: 0,
        }
    }

    /// Takes the buffered outcomes, i.e. those that arrived early, in request order.
    ///
    /// Use this if you want to stop before the end of the list. The stream won't return
    /// these outcomes any more, nor any later ones.
    pub fn take_buffered(&mut self) -> impl Iterator<Item = Outcome> + use<> {
        self.buffered_bytes = 0;
        std::mem::take(&mut self.buffered).into_values()
    }

    /// Returns the number of buffered outcomes, i.e. of those that arrived early.
    pub fn buffered(&self) -> usize {
        self.buffered.len()
    }

    /// Returns the current outage. See [`Outcomes::outage`].
    pub fn outage(&self) -> Option<Outage> {
        self.outcomes.outage()
    }

    /// Pauses the intake if the buffer is full, and resumes it otherwise.
    fn update_pause(&self) {
        let is_full =
            self.buffered.len() >= MAX_BUFFERED || self.buffered_bytes >= MAX_BUFFERED_BYTES;
        self.outcomes.set_paused(is_full);
    }
}

impl Stream for InOrder {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let this = &mut *self;
        loop {
            if let Some(outcome) = this.buffered.remove(&this.next) {
                this.next += 1;
                this.buffered_bytes -= outcome.body_bytes();
                this.update_pause();
                return Poll::Ready(Some(outcome));
            }
            let Some(outcome) = ready!(this.outcomes.poll_next_unpin(cx)) else {
                return Poll::Ready(None);
            };
            this.buffered_bytes += outcome.body_bytes();
            this.buffered.insert(outcome.index, outcome);
            this.update_pause();
        }
    }
}
