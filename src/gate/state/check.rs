//! Checks the gate's invariants, for tests.

use super::State;
use crate::gate::batch::BatchState;

impl State {
    /// Returns true if there are no batches or hosts left.
    pub(in crate::gate) fn is_idle(&self) -> bool {
        self.batches.is_empty() && self.hosts.busy.is_empty() && self.callers.is_empty()
    }

    /// Panics if a limit is exceeded, or if a request is waiting even though it could
    /// start.
    pub(in crate::gate) fn check(&self, slots: usize) {
        let in_flight: usize = self.batches.values().map(|batch| batch.in_flight).sum();
        assert_eq!(in_flight + self.slots.shared + self.slots.reserved, slots);
        for (host, state) in &self.hosts.busy {
            assert!(
                self.hosts
                    .limit
                    .is_some_and(|limit| state.in_flight <= limit)
            );
            let mut queues = self.batches.values().flat_map(|batch| &batch.hosts);
            assert!(queues.any(|queue| queue.host == *host));
        }
        for (caller, held) in self.turns.held() {
            let theirs = self.batches.values().filter(|batch| batch.caller == caller);
            assert_eq!(held, theirs.map(|batch| batch.in_flight).sum::<usize>());
        }
        for batch in self.batches.values() {
            assert!(batch.in_flight <= batch.concurrency);
            let waiting = batch.hosts.iter().map(|queue| queue.waiting.len());
            assert_eq!(batch.waiting, waiting.sum::<usize>());
            if self.has_slot_for(batch) {
                self.check_blocked(batch);
            }
        }
    }

    /// Returns true if the process has another slot that `batch` may use.
    fn has_slot_for(&self, batch: &BatchState) -> bool {
        let has_reserved = batch.in_flight == 0 && self.slots.reserved > 0;
        let may_share = batch.may_share() && self.slots.may_share(&self.callers[&batch.caller]);
        let has_slot = has_reserved || self.slots.shared > 0 && may_share;
        batch.in_flight < batch.concurrency && has_slot
    }

    /// Panics if a request in `batch` is waiting even though its host isn't full.
    fn check_blocked(&self, batch: &BatchState) {
        let queues = batch.hosts.iter();
        for queue in queues.filter(|queue| !queue.waiting.is_empty()) {
            let host = self.hosts.busy.get(&queue.host);
            let is_full = host.map(|host| host.in_flight) == self.hosts.limit;
            assert!(
                self.hosts.limit.is_some() && is_full,
                "a free slot is wasted"
            );
        }
    }
}
