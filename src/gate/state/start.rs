//! Starts requests by giving free slots to the batches that wait for them.

use super::{BatchKey, State};
use crate::gate::{batch::Limit, slots::Source};

impl State {
    /// Queues the batch for a slot, if it has a request that could start.
    pub(super) fn enqueue(&mut self, id: BatchKey) {
        let Some(batch) = self.batches.get_mut(&id) else {
            return;
        };
        if !batch.needs_slot() {
            batch.blocked_by = batch.own_limit();
        } else if batch.in_flight == 0 && self.slots.reserved > 0 {
            self.idle.push_back(id);
        } else if !batch.has_turn && batch.may_share() {
            batch.has_turn = true;
            let usage = self.callers.get(&batch.caller);
            let may_share = usage.is_none_or(|usage| self.slots.may_share(usage));
            if self.slots.shared == 0 || !may_share {
                batch.blocked_by = Some(Limit::Process);
            }
            let held = usage.map_or(0, |usage| usage.held);
            self.turns.push(batch.caller, held, id);
        }
    }

    /// Starts all requests that may start. Batches take turns and start one request at a
    /// time.
    pub(super) fn start_all(&mut self) {
        self.start_reserved();
        while self.slots.shared > 0
            && let Some(id) = self.turns.pop(|id| {
                let batch = self.batches.get(&id);
                let usage = batch.and_then(|batch| self.callers.get(&batch.caller));
                usage.is_none_or(|usage| self.slots.may_share(usage))
            })
        {
            self.start_in_turn(id, Source::Shared);
        }
        let equal_share = self.slots.equal_share(self.callers.len());
        while self.slots.reserved > 0
            && let Some(id) = self.turns.pop(|id| {
                let Some(batch) = self.batches.get(&id) else {
                    return false;
                };
                let usage = self.callers.get(&batch.caller);
                batch.in_flight == 0
                    || usage.is_some_and(|usage| self.slots.may_borrow(usage, equal_share))
            })
        {
            self.start_in_turn(id, Source::Borrowed);
        }
    }

    /// Starts the first request of every idle batch, using the batch's reserved slot.
    fn start_reserved(&mut self) {
        while let Some(id) = self.idle.pop_front() {
            if self
                .batches
                .get(&id)
                .is_some_and(|batch| batch.in_flight == 0)
            {
                // The previous batch may have taken the last slot.
                if self.slots.reserved > 0 {
                    self.start(id, Source::Reserved);
                }
                self.enqueue(id);
            }
        }
    }

    fn start_in_turn(&mut self, id: BatchKey, source: Source) {
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.has_turn = false;
            if batch.may_share() {
                self.start(id, source);
                self.enqueue(id);
            }
        }
    }

    /// Starts the batch's first request whose host isn't full, if there is one. It gets a
    /// slot from `source`, so that must have a free one.
    fn start(&mut self, id: BatchKey, source: Source) {
        let Some(batch) = self.batches.get_mut(&id) else {
            return;
        };
        while batch.in_flight < batch.concurrency
            && let Some((request, host)) = batch.ready.pop_first()
        {
            let queue = &mut batch.hosts[host as usize];
            if !self.hosts.take(&queue.host, id, host) {
                queue.is_blocked = true;
                queue.was_blocked = true;
                continue;
            }
            let waited_for_host = std::mem::take(&mut queue.was_blocked);
            let blocked_by = batch.blocked_by.take();
            if waited_for_host {
                self.waits.count(Limit::Host);
            } else if let Some(limit) = blocked_by {
                self.waits.count(limit);
            }
            queue.waiting.pop();
            let usage = self.callers.entry(batch.caller).or_default();
            self.slots.take(source, batch, usage);
            self.turns.set_held(batch.caller, usage.held);
            batch.in_flight += 1;
            batch.waiting -= 1;
            batch.started.push_back((request, host));
            batch.make_ready(host as usize);
            self.changed.push(id);
            return;
        }
    }
}
