//! What the gate knows, behind its lock.

use std::{
    collections::{BTreeMap, HashMap, VecDeque, btree_map, hash_map::Entry},
    sync::Arc,
};

use super::{
    Room,
    line::{Limit, Line, Phase, QueueId},
    turns::Turns,
};
use crate::caller::Caller;

pub(super) type LineId = u64;

/// All lines, and the room that is left.
pub(super) struct State {
    /// Slots that any batch may have beyond the one kept for it: how many there are,
    /// and how many are free.
    all_shared: usize,
    shared: usize,
    /// How many of them are for callers that have few.
    reserve: usize,
    /// Free slots of those that are kept for batches, one for each.
    kept: usize,
    /// Those with a line. Few, as lines are, and looked up several times for each
    /// request: a tree beats hashing.
    callers: BTreeMap<Caller, Holding>,
    per_host: Option<usize>,
    lines: BTreeMap<LineId, Line>,
    next_line: LineId,
    /// Lines with nothing in flight, whose kept slot may be free. Looked at, and
    /// emptied, whenever room changes.
    idle: VecDeque<LineId>,
    /// Lines that could use a shared slot.
    turns: Turns,
    /// Lines that have something to take since the lock was taken.
    changed: Vec<LineId>,
    /// Those with anything in flight; only if there is a limit on them.
    hosts: HashMap<Arc<str>, Host>,
    /// How many requests waited for which limit.
    waits: [u64; 3],
}

/// One host.
#[derive(Default)]
struct Host {
    in_flight: usize,
    /// Queues that found it full.
    blocked: Vec<(LineId, QueueId)>,
}

/// What the batches of one caller hold together.
#[derive(Debug, Default)]
pub(super) struct Holding {
    lines: usize,
    /// The caller is the process itself.
    is_self: bool,
    /// Shared slots.
    shared: usize,
    /// The same, without those of batches that are not read.
    read: usize,
    /// Lent slots.
    lent: usize,
}

/// What a slot is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// The one that is kept for the batch.
    Kept,
    Shared,
    /// Those that are kept for batches that may come.
    Lent,
}

impl State {
    pub(super) fn new(room: Room) -> Self {
        let all_shared = room.slots.saturating_sub(room.batches);
        Self {
            all_shared,
            shared: all_shared,
            reserve: (all_shared / RESERVE).min(room.batches),
            kept: room.batches,
            callers: BTreeMap::new(),
            per_host: room.per_host,
            lines: BTreeMap::new(),
            next_line: 0,
            idle: VecDeque::new(),
            turns: Turns::default(),
            changed: Vec::new(),
            hosts: HashMap::new(),
            waits: [0; 3],
        }
    }

    pub(super) fn join(&mut self, line: Line) -> LineId {
        let id = self.next_line;
        self.next_line += 1;
        let caller = self.callers.entry(line.caller).or_default();
        caller.lines += 1;
        caller.is_self = line.caller.is_self();
        self.lines.insert(id, line);
        self.enqueue(id);
        self.start_all();
        self.notify();
        id
    }

    pub(super) fn take(&mut self, id: LineId) -> Option<(u32, QueueId)> {
        self.lines.get_mut(&id)?.started.pop_front()
    }

    /// Gives back the room of a request of `id`, and takes the next of the same
    /// line, without a word to whoever waits for that line.
    pub(super) fn exchange(&mut self, id: LineId, queue: QueueId) -> Option<(u32, QueueId)> {
        self.free(id, queue);
        let taken = self.take(id);
        self.notify();
        taken
    }

    pub(super) fn put_back(&mut self, id: LineId, index: u32, host: &str) -> bool {
        let line = self
            .lines
            .get_mut(&id)
            .filter(|line| line.phase == Phase::Open);
        let Some(line) = line else {
            return false;
        };
        line.push(index, host);
        self.enqueue(id);
        self.start_all();
        self.notify();
        true
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
            self.free(id, queue);
        }
        self.notify();
        all
    }

    /// The batch is over. Its slots come back one by one.
    pub(super) fn leave(&mut self, id: LineId) {
        self.close(id);
        if let Some(line) = self.lines.get_mut(&id) {
            line.phase = Phase::Left;
            if line.in_flight == 0 {
                self.remove(id);
            }
        }
    }

    fn remove(&mut self, id: LineId) {
        let Some(line) = self.lines.remove(&id) else {
            return;
        };
        if line.has_turn {
            self.turns.remove(line.caller, id);
        }
        if let btree_map::Entry::Occupied(mut caller) = self.callers.entry(line.caller) {
            caller.get_mut().lines -= 1;
            if caller.get().lines == 0 {
                caller.remove();
            }
        }
    }

    /// Gives back the room of a request.
    pub(super) fn release(&mut self, id: LineId, queue: QueueId) {
        self.free(id, queue);
        self.notify();
    }

    /// Notes that a worker of the line waits for its caller to read.
    pub(super) fn stall(&mut self, id: LineId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.stalled += 1;
            if line.stalled == 1 {
                self.callers.entry(line.caller).or_default().read -= line.shared;
            }
        }
    }

    /// Notes that it does not wait any more.
    pub(super) fn unstall(&mut self, id: LineId) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.stalled -= 1;
            if line.stalled == 0 {
                self.callers.entry(line.caller).or_default().read += line.shared;
            }
            self.enqueue(id);
            self.start_all();
            self.notify();
        }
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

    /// Returns true if lines of others than `caller` wait for a shared slot.
    pub(super) fn is_wanted_beside(&self, caller: Caller) -> bool {
        self.turns.has_beside(caller)
    }

    fn free(&mut self, id: LineId, queue: QueueId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        line.in_flight -= 1;
        let caller = self.callers.entry(line.caller).or_default();
        if line.lent > 0 {
            line.lent -= 1;
            caller.lent -= 1;
            self.kept += 1;
        } else if line.shared > 0 {
            line.shared -= 1;
            caller.shared -= 1;
            caller.read -= usize::from(line.may_share());
            self.shared += 1;
        } else {
            line.has_own = false;
            self.kept += 1;
        }
        let host = self.per_host.is_some();
        let host = host.then(|| Arc::clone(&line.queues[queue as usize].host));
        if line.phase == Phase::Left && line.in_flight == 0 {
            self.remove(id);
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

    /// Gives back the room at `host`, and returns the queues that waited for it.
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

    /// Gives a line its turn, if it has a request that could start.
    fn enqueue(&mut self, id: LineId) {
        let Some(line) = self.lines.get_mut(&id) else {
            return;
        };
        if !line.wants_room() {
            line.held = line.holder();
        } else if line.in_flight == 0 && self.kept > 0 {
            self.idle.push_back(id);
        } else if !line.has_turn && line.may_share() {
            line.has_turn = true;
            if self.shared == 0 {
                line.held = Some(Limit::Process);
            }
            self.turns.push(line.caller, id);
        }
    }

    /// Starts all for which there is room, one of each line at a time.
    fn start_all(&mut self) {
        while let Some(id) = self.idle.pop_front() {
            if self.lines.get(&id).is_some_and(|line| line.in_flight == 0) {
                // The one before may have taken the last.
                if self.kept > 0 {
                    self.start(id, Source::Kept);
                }
                self.enqueue(id);
            }
        }
        while self.shared > 0
            && let Some(id) = self.turns.pop(|id| {
                let line = self.lines.get(&id);
                let caller = line.and_then(|line| self.callers.get(&line.caller));
                caller.is_none_or(|caller| caller.may_share(self.shared, self.reserve))
            })
        {
            self.start_in_turn(id, Source::Shared);
        }
        // No caller borrows to have more than it may have of those that are shared.
        let share = (self.all_shared - self.reserve) / self.callers.len().max(1);
        while self.kept > 0
            && let Some(id) = self.turns.pop(|id| {
                let line = self.lines.get(&id);
                line.is_some_and(|line| {
                    let caller = self.callers.get(&line.caller);
                    let may_borrow = |caller: &Holding| caller.may_borrow(share, self.kept);
                    line.in_flight == 0 || caller.is_some_and(may_borrow)
                })
            })
        {
            self.start_in_turn(id, Source::Lent);
        }
    }

    fn start_in_turn(&mut self, id: LineId, source: Source) {
        if let Some(line) = self.lines.get_mut(&id) {
            line.has_turn = false;
            if line.may_share() {
                self.start(id, source);
                self.enqueue(id);
            }
        }
    }

    /// Starts the first request of a line whose host has room, if there is one, with
    /// a slot from `source`, which has one.
    fn start(&mut self, id: LineId, source: Source) {
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
            match source {
                _ if !line.has_own && self.kept > 0 => {
                    self.kept -= 1;
                    line.has_own = true;
                }
                Source::Shared => {
                    self.shared -= 1;
                    line.shared += 1;
                    let caller = self.callers.entry(line.caller).or_default();
                    caller.shared += 1;
                    caller.read += 1;
                }
                Source::Kept | Source::Lent => {
                    self.kept -= 1;
                    line.lent += 1;
                    self.callers.entry(line.caller).or_default().lent += 1;
                }
            }
            line.in_flight += 1;
            line.waiting -= 1;
            line.started.push_back((index, at));
            line.make_ready(at as usize);
            self.changed.push(id);
            return;
        }
    }

    /// Wakes those who take from the lines that changed, unless all was taken.
    fn notify(&mut self) {
        for id in self.changed.drain(..) {
            let line = self.lines.get(&id);
            if let Some(line) = line.filter(|line| !line.started.is_empty()) {
                line.changed.notify_one();
            }
        }
    }
}

/// The part of the shared slots that one caller leaves to others, as long as it is no
/// more than one for each batch that may be open.
const RESERVE: usize = 32;

impl Holding {
    /// Returns true if the caller may have one more of the `free` shared slots: the
    /// last of them, the `reserve`, are for callers that have few. The process itself
    /// may take all.
    fn may_share(&self, free: usize, reserve: usize) -> bool {
        free > reserve || self.shared < reserve || self.is_self
    }

    /// Returns true if the caller may have one of the `kept` slots, which are free
    /// and for batches that may come, when none of the shared ones is free: it has
    /// less than an equal `share` of those, and leaves twice as many as it borrows.
    /// So a caller beside one that took all that is shared is not left with one
    /// slot for each of its batches.
    fn may_borrow(&self, share: usize, kept: usize) -> bool {
        self.read + self.lent < share && self.lent < kept / 2
    }
}

#[cfg(test)]
mod check;
