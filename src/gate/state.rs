//! What the gate knows, behind its lock.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque, btree_map, hash_map::Entry},
    sync::Arc,
};

use tokio::sync::Notify;

use super::Room;

pub(super) type LineId = u64;
/// The place of a queue in its line.
pub(super) type QueueId = u32;

/// All lines, and the room that is left.
pub(super) struct State {
    /// Free slots that any batch may have beyond the one kept for it.
    shared: usize,
    per_host: Option<usize>,
    /// Few, and looked up several times for each request: a tree beats hashing.
    lines: BTreeMap<LineId, Line>,
    next_line: LineId,
    /// Lines with nothing in flight, whose kept slot may be free. Looked at, and
    /// emptied, whenever room changes.
    idle: VecDeque<LineId>,
    /// Lines that could use a shared slot, in turn.
    turns: VecDeque<LineId>,
    /// Those with anything in flight; only where there is a limit on them.
    hosts: HashMap<Arc<str>, Host>,
    /// How many requests waited for which limit.
    waits: [u64; 3],
}

/// One batch.
struct Line {
    concurrency: usize,
    in_flight: usize,
    /// One for each host, or one for all where hosts have no limit.
    queues: Vec<Queue>,
    by_host: HashMap<Arc<str>, QueueId>,
    /// The first waiting request of each queue that is not known to be blocked.
    ready: BTreeSet<(u32, QueueId)>,
    /// Those that have their room, and are in flight but for being taken.
    started: VecDeque<(u32, QueueId)>,
    waiting: usize,
    has_turn: bool,
    /// Which limit the next to start waits for.
    held: Option<Limit>,
    changed: Arc<Notify>,
    /// None is to start any more.
    is_closed: bool,
    /// The batch is over; what it has in flight is on its way out.
    left: bool,
}

/// The waiting requests of one batch for one host.
struct Queue {
    host: Arc<str>,
    waiting: BinaryHeap<Reverse<u32>>,
    is_blocked: bool,
    /// Its first request found its host full.
    was_blocked: bool,
}

/// One host.
#[derive(Default)]
struct Host {
    in_flight: usize,
    /// Lanes that found it full.
    blocked: Vec<(LineId, QueueId)>,
}

/// What can hold a request back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Batch,
    Host,
    Process,
}

impl State {
    pub(super) fn new(room: Room) -> Self {
        Self {
            shared: room.slots.saturating_sub(room.batches),
            per_host: room.per_host,
            lines: BTreeMap::new(),
            next_line: 0,
            idle: VecDeque::new(),
            turns: VecDeque::new(),
            hosts: HashMap::new(),
            waits: [0; 3],
        }
    }

    pub(super) fn join(
        &mut self,
        concurrency: usize,
        requests: impl Iterator<Item = u32>,
        host_of: impl Fn(u32) -> String,
        changed: &Arc<Notify>,
    ) -> LineId {
        let mut line = Line::new(concurrency, Arc::clone(changed));
        let mut waiting: Vec<Vec<Reverse<u32>>> = Vec::new();
        for index in requests {
            let queue = line.queue(&self.queue_name(index, &host_of)) as usize;
            if waiting.len() <= queue {
                waiting.resize_with(queue + 1, Vec::new);
            }
            waiting[queue].push(Reverse(index));
            line.waiting += 1;
        }
        for (queue, waiting) in line.queues.iter_mut().zip(waiting) {
            queue.waiting = waiting.into();
        }
        for queue in 0..line.queues.len() {
            line.make_ready(queue);
        }
        let id = self.next_line;
        self.next_line += 1;
        self.lines.insert(id, line);
        self.enqueue(id);
        self.start_all();
        id
    }

    pub(super) fn take(&mut self, id: LineId) -> Option<(u32, QueueId)> {
        self.lines.get_mut(&id)?.started.pop_front()
    }

    pub(super) fn put_back(
        &mut self,
        id: LineId,
        index: u32,
        host_of: impl Fn(u32) -> String,
    ) -> bool {
        let host = self.queue_name(index, host_of);
        let line = self.lines.get_mut(&id).filter(|line| !line.is_closed);
        let Some(line) = line else {
            return false;
        };
        let at = line.queue(&host);
        let queue = &mut line.queues[at as usize];
        if let Some(Reverse(first)) = queue.waiting.peek() {
            line.ready.remove(&(*first, at));
        }
        queue.waiting.push(Reverse(index));
        line.waiting += 1;
        line.make_ready(at as usize);
        self.enqueue(id);
        self.start_all();
        true
    }

    /// Where hosts have no limit, all requests of a batch are in one queue.
    fn queue_name(&self, index: u32, host_of: impl Fn(u32) -> String) -> String {
        match self.per_host {
            Some(_) => host_of(index),
            None => String::new(),
        }
    }

    pub(super) fn is_empty(&self, id: LineId) -> bool {
        let line = self.lines.get(&id);
        line.is_none_or(|line| line.waiting == 0 && line.started.is_empty())
    }

    pub(super) fn close(&mut self, id: LineId) -> Vec<u32> {
        let Some(line) = self.lines.get_mut(&id) else {
            return Vec::new();
        };
        let (waiting, started) = line.close();
        let mut all = waiting;
        for (index, queue) in started {
            all.push(index);
            self.release(id, queue);
        }
        all
    }

    /// The batch is over. Its slots come back one by one.
    pub(super) fn leave(&mut self, id: LineId) {
        self.close(id);
        if let btree_map::Entry::Occupied(mut line) = self.lines.entry(id) {
            line.get_mut().left = true;
            if line.get().in_flight == 0 {
                line.remove();
            }
        }
    }

    /// Gives back the room of a request.
    pub(super) fn release(&mut self, id: LineId, queue: QueueId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        line.in_flight -= 1;
        // The last to go gives back the one that is kept.
        self.shared += usize::from(line.in_flight > 0);
        let host = self.per_host.is_some();
        let host = host.then(|| Arc::clone(&line.queues[queue as usize].host));
        if line.left && line.in_flight == 0 {
            self.lines.remove(&id);
        }
        for (blocked, queue) in host.map_or_else(Vec::new, |host| self.leave_host(&host)) {
            if let Some(line) = self.lines.get_mut(&blocked) {
                line.queues[queue as usize].is_blocked = false;
                line.make_ready(queue as usize);
                self.enqueue(blocked);
            }
        }
        self.enqueue(id);
        self.start_all();
    }

    /// How many requests wait for a slot, and how many have one.
    pub(super) fn counts(&self) -> (usize, usize) {
        let lines = self.lines.values();
        lines.fold((0, 0), |(waiting, in_flight), line| {
            (waiting + line.waiting, in_flight + line.in_flight)
        })
    }

    /// How many requests waited for room in their batch, at their host, in the
    /// process.
    pub(super) fn waits(&self) -> [u64; 3] {
        self.waits
    }

    /// Gives back the room at `host`, and tells who waited for it.
    fn leave_host(&mut self, host: &Arc<str>) -> Vec<(LineId, QueueId)> {
        let Entry::Occupied(mut entry) = self.hosts.entry(Arc::clone(host)) else {
            return Vec::new();
        };
        entry.get_mut().in_flight -= 1;
        let blocked = std::mem::take(&mut entry.get_mut().blocked);
        if entry.get().in_flight == 0 {
            entry.remove();
        }
        blocked
    }

    /// Gives a line its turn, where it has a request that could start.
    fn enqueue(&mut self, id: LineId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        if !line.wants_room() {
            line.held = line.holder();
        } else if line.in_flight == 0 {
            self.idle.push_back(id);
        } else if !line.has_turn {
            line.has_turn = true;
            if self.shared == 0 {
                line.held = Some(Limit::Process);
            }
            self.turns.push_back(id);
        }
    }

    /// Starts all for which there is room, one of each line at a time.
    fn start_all(&mut self) {
        while let Some(id) = self.idle.pop_front() {
            if self.lines.get(&id).is_some_and(|line| line.in_flight == 0) {
                self.start(id);
                self.enqueue(id);
            }
        }
        while self.shared > 0
            && let Some(id) = self.turns.pop_front()
        {
            if let Some(line) = self.lines.get_mut(&id) {
                line.has_turn = false;
                self.start(id);
                self.enqueue(id);
            }
        }
    }

    /// Starts the first request of a line whose host has room, where there is
    /// one. The process has room.
    fn start(&mut self, id: LineId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        while line.in_flight < line.concurrency
            && let Some((index, at)) = line.ready.pop_first()
        {
            let queue = &mut line.queues[at as usize];
            if let Some(limit) = self.per_host {
                let host = self.hosts.entry(Arc::clone(&queue.host)).or_default();
                if host.in_flight >= limit {
                    host.blocked.push((id, at));
                    queue.is_blocked = true;
                    queue.was_blocked = true;
                    continue;
                }
                host.in_flight += 1;
            }
            let held = std::mem::take(&mut queue.was_blocked).then_some(Limit::Host);
            if let Some(limit) = held.or(line.held.take()) {
                self.waits[limit as usize] += 1;
            }
            queue.waiting.pop();
            self.shared -= usize::from(line.in_flight > 0);
            line.in_flight += 1;
            line.waiting -= 1;
            line.started.push_back((index, at));
            line.make_ready(at as usize);
            if line.waiting == 0 {
                // Who waits for more waits in vain.
                line.changed.notify_waiters();
            }
            line.changed.notify_one();
            return;
        }
    }
}

impl Line {
    fn new(concurrency: usize, changed: Arc<Notify>) -> Self {
        Self {
            concurrency,
            in_flight: 0,
            queues: Vec::new(),
            by_host: HashMap::new(),
            ready: BTreeSet::new(),
            started: VecDeque::new(),
            waiting: 0,
            has_turn: false,
            held: None,
            changed,
            is_closed: false,
            left: false,
        }
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
    fn make_ready(&mut self, at: usize) {
        let queue = &self.queues[at];
        if let (false, Some(Reverse(first))) = (queue.is_blocked, queue.waiting.peek()) {
            let at = u32::try_from(at).expect("queues are counted in 32 bits");
            self.ready.insert((*first, at));
        }
    }

    fn wants_room(&self) -> bool {
        self.in_flight < self.concurrency && !self.ready.is_empty()
    }

    /// Which limit holds back those that wait, where it is not the process.
    fn holder(&self) -> Option<Limit> {
        if self.waiting == 0 {
            None
        } else if self.in_flight >= self.concurrency {
            Some(Limit::Batch)
        } else {
            Some(Limit::Host)
        }
    }

    /// Takes out those that wait, and those that were started and not taken.
    fn close(&mut self) -> (Vec<u32>, VecDeque<(u32, QueueId)>) {
        let queues = self.queues.iter_mut();
        let waiting = queues.flat_map(|queue| queue.waiting.drain().map(|Reverse(index)| index));
        let waiting = waiting.collect();
        self.is_closed = true;
        self.ready.clear();
        self.waiting = 0;
        self.changed.notify_waiters();
        (waiting, std::mem::take(&mut self.started))
    }
}

#[cfg(test)]
impl State {
    /// Whether nothing is known of any batch or host.
    pub(super) fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.hosts.is_empty()
    }

    /// Panics where a limit is passed, or a request waits that could start.
    pub(super) fn check(&self, slots: usize) {
        let in_flight: usize = self.lines.values().map(|line| line.in_flight).sum();
        assert!(in_flight <= slots, "{in_flight} of {slots}");
        for (host, known) in &self.hosts {
            assert!(self.per_host.is_some_and(|limit| known.in_flight <= limit));
            let queues = self.lines.values().flat_map(|line| &line.queues);
            assert!(queues.into_iter().any(|queue| queue.host == *host));
        }
        for line in self.lines.values() {
            assert!(line.in_flight <= line.concurrency);
            let waiting = line.queues.iter().map(|queue| queue.waiting.len());
            assert_eq!(line.waiting, waiting.sum::<usize>());
            let has_room =
                line.in_flight < line.concurrency && (line.in_flight == 0 || self.shared > 0);
            for queue in line
                .queues
                .iter()
                .filter(|queue| has_room && !queue.waiting.is_empty())
            {
                let host = self.hosts.get(&queue.host);
                let is_full = host.map(|host| host.in_flight) == self.per_host;
                assert!(self.per_host.is_some() && is_full, "room is wasted");
            }
        }
    }
}
