//! The outcomes of a list in the order of its requests.

use std::{
    collections::BTreeMap,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::{Stream, StreamExt};

use super::Outcomes;
use crate::client::Outcome;

/// A stream of the outcomes of a list in the order of its requests, each as soon as all
/// before it have arrived.
///
/// The stream buffers outcomes that arrive early. If it holds 10,000 of them, or 64 MiB
/// of bodies, no further requests are sent until the missing outcome has arrived.
#[derive(Debug)]
#[must_use = "streams do nothing unless polled"]
pub struct InOrder {
    outcomes: Outcomes,
    buffered: BTreeMap<usize, Outcome>,
    /// The size of the buffered bodies.
    buffered_bytes: usize,
    /// The position of the next outcome.
    next: usize,
}

/// The limits of the buffer at which the intake of requests pauses.
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

    /// Takes the outcomes that have arrived before their turn, in the order of the
    /// requests.
    ///
    /// This is for a caller that stops before the end of the list: the stream never
    /// yields these outcomes, nor any that it would have yielded after them.
    pub fn take_buffered(&mut self) -> impl Iterator<Item = Outcome> + use<> {
        self.buffered_bytes = 0;
        std::mem::take(&mut self.buffered).into_values()
    }

    /// Pauses the intake of requests while the buffer is full.
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
