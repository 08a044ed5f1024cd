//! The quarantine: origins that sent unexpected bytes. We don't pool their connections.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::connect::Origin;

/// The quarantined origins, and when their quarantine ends. If the list is full, then
/// adding another origin drops the oldest one.
#[derive(Default)]
pub(super) struct Quarantine {
    until: HashMap<Origin, Instant>,
    /// All entries in the order in which they were added.
    order: VecDeque<(Instant, Origin)>,
}

/// The maximum number of quarantined origins. Above it, the oldest entry is dropped.
const MAX_ORIGINS: usize = 1024;

impl Quarantine {
    /// Adds `origin`. Note that `until` must never go backwards from one call to the
    /// next.
    pub(super) fn insert(&mut self, origin: &Origin, until: Instant) {
        if self.order.len() >= MAX_ORIGINS
            && let Some((until, oldest)) = self.order.pop_front()
            && self.until.get(&oldest) == Some(&until)
        {
            self.until.remove(&oldest);
        }
        self.until.insert(origin.clone(), until);
        self.order.push_back((until, origin.clone()));
    }

    /// Returns true if `origin` is still quarantined at `now`.
    pub(super) fn contains(&self, origin: &Origin, now: Instant) -> bool {
        // Usually nobody is in quarantine, and then we don't need to hash the origin.
        !self.until.is_empty() && self.until.get(origin).is_some_and(|until| *until > now)
    }
}
