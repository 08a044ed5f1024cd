//! How far each batch has got, and which limit holds its waiting requests back. This is
//! for people who look at a running service.

use std::collections::BTreeMap;

use super::{
    BatchQueue, Gate,
    batch::{BatchState, Limit},
    state::{BatchKey, State},
};

/// The standing of every batch at a gate, at one moment.
pub(crate) struct Standings(BTreeMap<BatchKey, Standing>);

/// How many of a batch's requests are in flight and waiting.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) in_flight: usize,
    pub(crate) waiting: usize,
    /// The limit that keeps the next request from starting, or `None` if none is waiting.
    pub(crate) held_by: Option<Hold>,
}

/// A limit that holds a batch's next request back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    /// The batch's own concurrency.
    Batch,
    /// The limit of every host that the batch is waiting for.
    Host,
    /// The slots of the process. All are taken but those that are kept for other callers,
    /// since the batch's caller has its share.
    Caller,
    /// The slots of the process, all of which are taken.
    Process,
    /// The caller doesn't read, so its batch only has the reserved slot.
    Reader,
}

impl Hold {
    pub(crate) const ALL: [Self; 5] = [
        Self::Batch,
        Self::Host,
        Self::Caller,
        Self::Process,
        Self::Reader,
    ];

    /// Returns its name on the admin page.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Host => "host",
            Self::Caller => "caller",
            Self::Process => "process",
            Self::Reader => "reader",
        }
    }
}

impl Gate {
    /// Returns the standing of all batches. This holds the lock for a few nanoseconds a
    /// batch.
    pub(crate) fn standings(&self) -> Standings {
        self.state().standings()
    }
}

impl Standings {
    /// Returns the standing of a batch. It's empty if the batch has left the gate.
    pub(crate) fn of(&self, queue: &BatchQueue) -> Standing {
        self.0.get(&queue.id).copied().unwrap_or_default()
    }

    /// Returns how many requests wait in batches that `hold` holds back.
    pub(crate) fn waiting_for(&self, hold: Hold) -> usize {
        let batches = self.0.values();
        let held_back = batches.filter(|standing| standing.held_by == Some(hold));
        held_back.map(|standing| standing.waiting).sum()
    }
}

impl State {
    pub(super) fn standings(&self) -> Standings {
        let standing = |batch: &BatchState| Standing {
            in_flight: batch.in_flight,
            waiting: batch.waiting,
            held_by: self.hold(batch),
        };
        let batches = self.batches.iter();
        Standings(batches.map(|(id, batch)| (*id, standing(batch))).collect())
    }

    fn hold(&self, batch: &BatchState) -> Option<Hold> {
        if batch.waiting == 0 {
            return None;
        }
        if !batch.needs_slot() {
            let limit = batch.own_limit()?;
            return Some(match limit {
                Limit::Batch => Hold::Batch,
                Limit::Host => Hold::Host,
                Limit::Process => Hold::Process,
            });
        }
        let usage = self.callers.get(&batch.caller);
        Some(if !batch.may_share() {
            Hold::Reader
        } else if self.slots.shared > 0 && usage.is_some_and(|usage| !self.slots.may_share(usage)) {
            Hold::Caller
        } else {
            Hold::Process
        })
    }
}
