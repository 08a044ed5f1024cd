//! Origins whose connections are not pooled, because they sent unexpected bytes.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use crate::connect::Origin;

/// The quarantined origins and the time until which each of them is quarantined. If the
/// list is full, a new origin replaces the oldest.
#[derive(Default)]
pub(super) struct Quarantine {
    until: HashMap<Origin, Instant>,
    /// In the order in which they were added.
    order: VecDeque<(Instant, Origin)>,
}

/// The maximum number of origins.
const MAX_ORIGINS: usize = 1024;

impl Quarantine {
    /// Adds `origin`. `until` must not be earlier than in any call before.
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

    /// Returns true if `origin` is quarantined at `now`.
    pub(super) fn contains(&self, origin: &Origin, now: Instant) -> bool {
        // Avoids the hash in the common case.
        !self.until.is_empty() && self.until.get(origin).is_some_and(|until| *until > now)
    }
}
