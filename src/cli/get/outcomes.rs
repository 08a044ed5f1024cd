//! The outcomes of a list, in the order that `--unordered` chooses.

use fetchd::client::{self, Fetch, InOrder, Outcome};
use futures_util::{FutureExt, StreamExt};

/// The outcomes as the client returns them.
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

    /// Returns the next outcome, or `None` at the end of the list. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        match self {
            Self::AsTheyArrive(outcomes) => outcomes.next().await,
            Self::InOrder(outcomes) => outcomes.next().await,
        }
    }

    /// Returns all outcomes that have arrived, including those that wait for an
    /// earlier one, in the order of their indices.
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
