//! Origins whose connections are not kept, since they sent unasked bytes.

use std::collections::{HashMap, VecDeque};

use tokio::time::Instant;

use super::Origin;

/// The origins, each until a time, the oldest of which makes room for the next.
#[derive(Default)]
pub(super) struct Distrusted {
    until: HashMap<Origin, Instant>,
    /// In the order in which they were added.
    order: VecDeque<(Instant, Origin)>,
}

/// How many are remembered.
const MAX: usize = 1024;

impl Distrusted {
    /// Adds `origin`, which is distrusted for as long as any that was added before.
    pub(super) fn add(&mut self, origin: &Origin, until: Instant) {
        if self.order.len() >= MAX
            && let Some((until, oldest)) = self.order.pop_front()
            && self.until.get(&oldest) == Some(&until)
        {
            self.until.remove(&oldest);
        }
        self.until.insert(origin.clone(), until);
        self.order.push_back((until, origin.clone()));
    }

    /// Returns true if `origin` is distrusted at `now`.
    pub(super) fn has(&self, origin: &Origin, now: Instant) -> bool {
        // Nearly always there is none, and no need to hash.
        !self.until.is_empty() && self.until.get(origin).is_some_and(|until| *until > now)
    }
}
