//! A batch at the gate, with its waiting requests sorted by host.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use tokio::sync::Notify;

use crate::{caller::Caller, request::Sendable};

/// A [`HostQueue`]'s index in its batch.
pub(super) type HostId = u32;

/// A batch's state.
pub(super) struct BatchState {
    pub(super) caller: Caller,
    pub(super) concurrency: usize,
    pub(super) in_flight: usize,
    /// Whether one of the requests in flight has the batch's reserved slot.
    pub(super) has_reserved: bool,
    /// How many of the requests in flight have a shared slot.
    pub(super) shared: usize,
    /// How many of the requests in flight have a borrowed slot.
    pub(super) borrowed: usize,
    /// One queue per host. If hosts don't have a limit, there's just a single queue.
    pub(super) hosts: Vec<HostQueue>,
    by_name: HashMap<Arc<str>, HostId>,
    /// The first waiting request of each queue, except for queues whose host we know is
    /// full.
    pub(super) ready: BTreeSet<(Sendable, HostId)>,
    /// Requests that have a slot but haven't been taken yet.
    pub(super) started: VecDeque<(Sendable, HostId)>,
    pub(super) waiting: usize,
    pub(super) has_turn: bool,
    /// How many workers are waiting for the caller to read.
    pub(super) stalled: usize,
    /// The limit that keeps the next request from starting.
    pub(super) blocked_by: Option<Limit>,
    pub(super) changed: Arc<Notify>,
    pub(super) phase: Phase,
}

/// A batch's lifecycle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// No more requests may start.
    Closed,
    /// The batch is gone, but some of its requests are still in flight.
    Left,
}

/// A batch's waiting requests for one host.
pub(super) struct HostQueue {
    pub(super) host: Arc<str>,
    pub(super) waiting: BinaryHeap<Reverse<Sendable>>,
    /// Whether the host is full.
    pub(super) is_blocked: bool,
    /// Whether the host was full when the first request could have started. We need this
    /// to count how many requests had to wait for their host.
    pub(super) was_blocked: bool,
}

/// A limit a request may have to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Batch,
    Host,
    Process,
}

impl BatchState {
    pub(super) fn new(caller: Caller, concurrency: usize, changed: Arc<Notify>) -> Self {
        Self {
            caller,
            concurrency,
            in_flight: 0,
            has_reserved: false,
            shared: 0,
            borrowed: 0,
            hosts: Vec::new(),
            by_name: HashMap::new(),
            ready: BTreeSet::new(),
            started: VecDeque::new(),
            waiting: 0,
            has_turn: false,
            stalled: 0,
            blocked_by: None,
            changed,
            phase: Phase::Open,
        }
    }

    /// Queues `requests`, each one for the host that `host_of` returns.
    pub(super) fn fill(
        &mut self,
        requests: impl Iterator<Item = Sendable>,
        host_of: impl Fn(Sendable) -> String,
    ) {
        let mut waiting: Vec<Vec<Reverse<Sendable>>> = Vec::new();
        for request in requests {
            let host = self.host(&host_of(request)) as usize;
            if waiting.len() <= host {
                waiting.resize_with(host + 1, Vec::new);
            }
            waiting[host].push(Reverse(request));
            self.waiting += 1;
        }
        for (queue, waiting) in self.hosts.iter_mut().zip(waiting) {
            queue.waiting = waiting.into();
        }
        for host in 0..self.hosts.len() {
            self.make_ready(host);
        }
    }

    /// Queues one more request for `host`.
    pub(super) fn push(&mut self, request: Sendable, host: &str) {
        let id = self.host(host);
        let queue = &mut self.hosts[id as usize];
        if let Some(Reverse(first)) = queue.waiting.peek() {
            self.ready.remove(&(*first, id));
        }
        queue.waiting.push(Reverse(request));
        self.waiting += 1;
        self.make_ready(id as usize);
    }

    /// Returns the queue for `host`. If there isn't one yet, it's created.
    fn host(&mut self, host: &str) -> HostId {
        if let Some(id) = self.by_name.get(host) {
            return *id;
        }
        let host: Arc<str> = host.into();
        let id = u32::try_from(self.hosts.len()).expect("a batch is limited to far fewer hosts");
        self.by_name.insert(Arc::clone(&host), id);
        self.hosts.push(HostQueue {
            host,
            waiting: BinaryHeap::new(),
            is_blocked: false,
            was_blocked: false,
        });
        id
    }

    /// Marks a queue's first request as ready to start, unless the host is full.
    pub(super) fn make_ready(&mut self, host: usize) {
        let queue = &self.hosts[host];
        if let (false, Some(Reverse(first))) = (queue.is_blocked, queue.waiting.peek()) {
            let host = u32::try_from(host).expect("hosts are counted in 32 bits");
            self.ready.insert((*first, host));
        }
    }

    /// Returns true if there's a request that could start if the process had a slot for
    /// it.
    pub(super) fn needs_slot(&self) -> bool {
        self.in_flight < self.concurrency && !self.ready.is_empty()
    }

    /// Returns true if the batch may have more than just its reserved slot.
    pub(super) fn may_share(&self) -> bool {
        self.stalled == 0
    }

    /// Returns the limit that the batch's waiting requests are blocked by. Returns `None`
    /// if nothing waits. Only call this if the batch doesn't need a slot of the process.
    pub(super) fn own_limit(&self) -> Option<Limit> {
        if self.waiting == 0 {
            None
        } else if self.in_flight >= self.concurrency {
            Some(Limit::Batch)
        } else {
            Some(Limit::Host)
        }
    }

    /// Closes the batch. Removes and returns its waiting requests, and separately those
    /// that have a slot but haven't been taken.
    pub(super) fn close(&mut self) -> (Vec<Sendable>, VecDeque<(Sendable, HostId)>) {
        let queues = self.hosts.iter_mut();
        let waiting = queues.flat_map(|queue| queue.waiting.drain().map(|Reverse(first)| first));
        let waiting = waiting.collect();
        self.phase = Phase::Closed;
        self.ready.clear();
        self.waiting = 0;
        (waiting, std::mem::take(&mut self.started))
    }
}
