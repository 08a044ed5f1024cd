//! List outcomes, either in input order or as they arrive (`--unordered`).

use fetchd::client::{self, Fetch, InOrder, Outage, Outcome};
use futures_util::{FutureExt, StreamExt};

/// The client's outcome stream.
pub(super) enum Outcomes {
    AsTheyArrive(client::Outcomes),
    InOrder(InOrder),
}

impl Outcomes {
    pub(super) fn new(fetch: Fetch, unordered: bool) -> Self {
        if unordered {
            Self::AsTheyArrive(fetch.outcomes())
        } else {
            Self::InOrder(fetch.in_order())
        }
    }

    /// Returns the next outcome, or `None` once the list is done. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        match self {
            Self::AsTheyArrive(outcomes) => outcomes.next().await,
            Self::InOrder(outcomes) => outcomes.next().await,
        }
    }

    /// Returns the number of outcomes that have arrived but have to wait for an earlier one.
    pub(super) fn early(&self) -> usize {
        match self {
            Self::AsTheyArrive(_) => 0,
            Self::InOrder(outcomes) => outcomes.buffered(),
        }
    }

    /// Returns the current outage of the service.
    pub(super) fn outage(&self) -> Option<Outage> {
        match self {
            Self::AsTheyArrive(outcomes) => outcomes.outage(),
            Self::InOrder(outcomes) => outcomes.outage(),
        }
    }

    /// Returns everything that has arrived so far, without waiting. If we print in input
    /// order, this includes outcomes that are still waiting for an earlier one (sorted
    /// by index).
    pub(super) fn take_arrived(&mut self) -> Vec<Outcome> {
        let mut arrived = Vec::new();
        while let Some(Some(outcome)) = self.next().now_or_never() {
            arrived.push(outcome);
        }
        if let Self::InOrder(outcomes) = self {
            arrived.extend(outcomes.take_buffered());
        }
        arrived
    }
}
