//! A gate's state. The gate keeps it behind a lock.

mod start;

use std::{
    collections::{BTreeMap, VecDeque, btree_map::Entry},
    sync::Arc,
};

use super::{
    Capacity, Counts, Waits,
    batch::{BatchState, HostId, Phase},
    hosts::Hosts,
    slots::{CallerUsage, Slots},
    turns::Turns,
};
use crate::{caller::Caller, request::Sendable};

pub(super) type BatchKey = u64;

/// All batches and free slots.
pub(super) struct State {
    pub(super) slots: Slots,
    /// All callers with a batch. We use a tree because it's faster than hashing here:
    /// there are few callers, and we look them up several times for every request.
    pub(super) callers: BTreeMap<Caller, CallerUsage>,
    pub(super) batches: BTreeMap<BatchKey, BatchState>,
    next_batch: BatchKey,
    /// Batches that have nothing in flight and might get their reserved slot. We empty
    /// this whenever slots or requests change.
    idle: VecDeque<BatchKey>,
    /// Batches waiting for a shared slot.
    turns: Turns,
    /// Batches that gained a request to hand out after we acquired the lock.
    changed: Vec<BatchKey>,
    hosts: Hosts,
    waits: Waits,
}

impl State {
    pub(super) fn new(capacity: Capacity) -> Self {
        Self {
            slots: Slots::new(capacity),
            callers: BTreeMap::new(),
            batches: BTreeMap::new(),
            next_batch: 0,
            idle: VecDeque::new(),
            turns: Turns::default(),
            changed: Vec::new(),
            hosts: Hosts::new(capacity.per_host),
            waits: Waits::default(),
        }
    }

    pub(super) fn join(&mut self, batch: BatchState) -> BatchKey {
        let id = self.next_batch;
        self.next_batch += 1;
        let usage = self.callers.entry(batch.caller).or_default();
        usage.batches += 1;
        usage.is_self = batch.caller.is_self();
        self.batches.insert(id, batch);
        self.enqueue(id);
        self.start_all();
        self.notify();
        id
    }

    pub(super) fn take(&mut self, id: BatchKey) -> Option<(Sendable, HostId)> {
        self.batches.get_mut(&id)?.started.pop_front()
    }

    /// Frees a request's slot, then takes the next request of the same batch. We don't
    /// notify the batch about that one, since it's returned right here.
    pub(super) fn exchange(&mut self, id: BatchKey, host: HostId) -> Option<(Sendable, HostId)> {
        self.free(id, host);
        let taken = self.take(id);
        self.notify();
        taken
    }

    /// Queues a request again. Returns false if the batch is closed.
    pub(super) fn put_back(&mut self, id: BatchKey, request: Sendable, host: &str) -> bool {
        let Some(batch) = self.batches.get_mut(&id) else {
            return false;
        };
        if batch.phase != Phase::Open {
            return false;
        }
        batch.push(request, host);
        self.enqueue(id);
        self.start_all();
        self.notify();
        true
    }

    pub(super) fn is_empty(&self, id: BatchKey) -> bool {
        let batch = self.batches.get(&id);
        batch.is_none_or(|batch| batch.waiting == 0 && batch.started.is_empty())
    }

    /// Closes a batch and returns all of its requests that haven't been taken.
    pub(super) fn close(&mut self, id: BatchKey) -> Vec<Sendable> {
        let Some(batch) = self.batches.get_mut(&id) else {
            return Vec::new();
        };
        let (mut untaken, started) = batch.close();
        for (request, host) in started {
            untaken.push(request);
            self.free(id, host);
        }
        self.notify();
        untaken
    }

    /// Closes a batch, and removes it as soon as its slots are free.
    pub(super) fn leave(&mut self, id: BatchKey) {
        self.close(id);
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.phase = Phase::Left;
            if batch.in_flight == 0 {
                self.remove(id);
            }
        }
    }

    fn remove(&mut self, id: BatchKey) {
        let Some(batch) = self.batches.remove(&id) else {
            return;
        };
        if batch.has_turn {
            self.turns.remove(batch.caller, id);
        }
        if let Entry::Occupied(mut usage) = self.callers.entry(batch.caller) {
            usage.get_mut().batches -= 1;
            if usage.get().batches == 0 {
                usage.remove();
            }
        }
    }

    /// Frees a request's slot.
    pub(super) fn release(&mut self, id: BatchKey, host: HostId) {
        self.free(id, host);
        self.notify();
    }

    /// Records that one of the batch's workers is waiting for the caller to read.
    pub(super) fn stall(&mut self, id: BatchKey) {
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.stalled += 1;
            if batch.stalled == 1 {
                self.callers.entry(batch.caller).or_default().active -= batch.shared;
            }
        }
    }

    /// Records that one of the batch's workers is no longer waiting for the caller to
    /// read.
    pub(super) fn unstall(&mut self, id: BatchKey) {
        if let Some(batch) = self.batches.get_mut(&id) {
            batch.stalled -= 1;
            if batch.stalled == 0 {
                self.callers.entry(batch.caller).or_default().active += batch.shared;
            }
            self.enqueue(id);
            self.start_all();
            self.notify();
        }
    }

    pub(super) fn counts(&self) -> Counts {
        let mut counts = Counts {
            waits: self.waits,
            ..Counts::default()
        };
        for batch in self.batches.values() {
            counts.waiting += batch.waiting;
            counts.in_flight += batch.in_flight;
        }
        counts
    }

    /// Returns true if callers other than `caller` have batches waiting for a shared
    /// slot.
    pub(super) fn has_other_waiters(&self, caller: Caller) -> bool {
        self.turns.has_other(caller)
    }

    /// Frees a request's slot, then starts any requests that can use it.
    fn free(&mut self, id: BatchKey, host: HostId) {
        let Some(batch) = self.batches.get_mut(&id) else {
            return;
        };
        batch.in_flight -= 1;
        let usage = self.callers.entry(batch.caller).or_default();
        self.slots.free(batch, usage);
        self.turns.set_held(batch.caller, usage.held);
        let limits_hosts = self.hosts.limit.is_some();
        let host = limits_hosts.then(|| Arc::clone(&batch.hosts[host as usize].host));
        if batch.phase == Phase::Left && batch.in_flight == 0 {
            self.remove(id);
        }
        if let Some(host) = host {
            self.free_host(&host);
        }
        self.enqueue(id);
        self.start_all();
    }

    /// Frees a slot for `host`. The queues that were waiting for it may continue.
    fn free_host(&mut self, host: &Arc<str>) {
        for waiter in self.hosts.free(host) {
            if let Some(batch) = self.batches.get_mut(&waiter.batch) {
                batch.hosts[waiter.host as usize].is_blocked = false;
                batch.make_ready(waiter.host as usize);
                self.enqueue(waiter.batch);
            }
        }
    }

    /// Notifies all changed batches, unless there's nothing left for them to take.
    fn notify(&mut self) {
        for id in self.changed.drain(..) {
            let batch = self.batches.get(&id);
            if let Some(batch) = batch.filter(|batch| !batch.started.is_empty()) {
                batch.changed.notify_one();
            }
        }
    }
}

#[cfg(test)]
mod check;
