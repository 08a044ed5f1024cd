//! One batch at the gate: its waiting requests, by host.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap, HashMap, VecDeque},
    sync::Arc,
};

use tokio::sync::Notify;

use crate::caller::Caller;

/// The place of a queue in its line.
pub(super) type QueueId = u32;

/// One batch.
pub(super) struct Line {
    pub(super) caller: Caller,
    pub(super) concurrency: usize,
    pub(super) in_flight: usize,
    /// One of these has the slot that is kept for the batch.
    pub(super) has_own: bool,
    /// How many have a shared slot, and how many one that is lent.
    pub(super) shared: usize,
    pub(super) lent: usize,
    /// One for each host, or one for all if hosts have no limit.
    pub(super) queues: Vec<Queue>,
    by_host: HashMap<Arc<str>, QueueId>,
    /// The first waiting request of each queue that is not known to be blocked.
    pub(super) ready: BTreeSet<(u32, QueueId)>,
    /// Those that have their room, and are in flight but for being taken.
    pub(super) started: VecDeque<(u32, QueueId)>,
    pub(super) waiting: usize,
    pub(super) has_turn: bool,
    /// Workers that wait for the caller to read.
    pub(super) stalled: usize,
    /// Which limit the next to start waits for.
    pub(super) held: Option<Limit>,
    pub(super) changed: Arc<Notify>,
    pub(super) phase: Phase,
}

/// How far a batch has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// No further request starts.
    Closed,
    /// The batch is over, and its requests in flight are ending.
    Left,
}

/// The waiting requests of one batch for one host.
pub(super) struct Queue {
    pub(super) host: Arc<str>,
    pub(super) waiting: BinaryHeap<Reverse<u32>>,
    pub(super) is_blocked: bool,
    /// Its first request found its host full.
    pub(super) was_blocked: bool,
}

/// What can hold a request back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Batch,
    Host,
    Process,
}

impl Line {
    pub(super) fn new(caller: Caller, concurrency: usize, changed: Arc<Notify>) -> Self {
        Self {
            caller,
            concurrency,
            in_flight: 0,
            has_own: false,
            shared: 0,
            lent: 0,
            queues: Vec::new(),
            by_host: HashMap::new(),
            ready: BTreeSet::new(),
            started: VecDeque::new(),
            waiting: 0,
            has_turn: false,
            stalled: 0,
            held: None,
            changed,
            phase: Phase::Open,
        }
    }

    /// Lets `requests` wait, each for the host that `host_of` returns.
    pub(super) fn fill(
        &mut self,
        requests: impl Iterator<Item = u32>,
        host_of: impl Fn(u32) -> String,
    ) {
        let mut waiting: Vec<Vec<Reverse<u32>>> = Vec::new();
        for index in requests {
            let queue = self.queue(&host_of(index)) as usize;
            if waiting.len() <= queue {
                waiting.resize_with(queue + 1, Vec::new);
            }
            waiting[queue].push(Reverse(index));
            self.waiting += 1;
        }
        for (queue, waiting) in self.queues.iter_mut().zip(waiting) {
            queue.waiting = waiting.into();
        }
        for queue in 0..self.queues.len() {
            self.make_ready(queue);
        }
    }

    /// Lets one more request wait for `host`.
    pub(super) fn push(&mut self, index: u32, host: &str) {
        let at = self.queue(host);
        let queue = &mut self.queues[at as usize];
        if let Some(Reverse(first)) = queue.waiting.peek() {
            self.ready.remove(&(*first, at));
        }
        queue.waiting.push(Reverse(index));
        self.waiting += 1;
        self.make_ready(at as usize);
    }

    /// The queue for `host`.
    fn queue(&mut self, host: &str) -> QueueId {
        if let Some(queue) = self.by_host.get(host) {
            return *queue;
        }
        let host: Arc<str> = host.into();
        let queue =
            u32::try_from(self.queues.len()).expect("a batch is limited to far fewer hosts");
        self.by_host.insert(Arc::clone(&host), queue);
        self.queues.push(Queue {
            host,
            waiting: BinaryHeap::new(),
            is_blocked: false,
            was_blocked: false,
        });
        queue
    }

    /// Lets the first request of a queue start when there is room.
    pub(super) fn make_ready(&mut self, at: usize) {
        let queue = &self.queues[at];
        if let (false, Some(Reverse(first))) = (queue.is_blocked, queue.waiting.peek()) {
            let at = u32::try_from(at).expect("queues are counted in 32 bits");
            self.ready.insert((*first, at));
        }
    }

    pub(super) fn wants_room(&self) -> bool {
        self.in_flight < self.concurrency && !self.ready.is_empty()
    }

    /// Returns true if it may have more than the one slot that is kept for it.
    pub(super) fn may_share(&self) -> bool {
        self.stalled == 0
    }

    /// Which limit holds back the waiting requests, if it is not the process.
    pub(super) fn holder(&self) -> Option<Limit> {
        if self.waiting == 0 {
            None
        } else if self.in_flight >= self.concurrency {
            Some(Limit::Batch)
        } else {
            Some(Limit::Host)
        }
    }

    /// Takes out the waiting requests, and those that were started and not taken.
    pub(super) fn close(&mut self) -> (Vec<u32>, VecDeque<(u32, QueueId)>) {
        let queues = self.queues.iter_mut();
        let waiting = queues.flat_map(|queue| queue.waiting.drain().map(|Reverse(index)| index));
        let waiting = waiting.collect();
        self.phase = Phase::Closed;
        self.ready.clear();
        self.waiting = 0;
        (waiting, std::mem::take(&mut self.started))
    }
}
