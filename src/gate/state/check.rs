//! What holds of the gate at any time, for its tests.

use super::State;

impl State {
    /// Whether nothing is known of any batch or host.
    pub(in crate::gate) fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.hosts.is_empty() && self.callers.is_empty()
    }

    /// Panics if a limit is passed, or a request waits that could start.
    pub(in crate::gate) fn check(&self, slots: usize) {
        let in_flight: usize = self.lines.values().map(|line| line.in_flight).sum();
        assert_eq!(in_flight + self.shared + self.kept, slots);
        for (host, known) in &self.hosts {
            assert!(self.per_host.is_some_and(|limit| known.in_flight <= limit));
            let queues = self.lines.values().flat_map(|line| &line.queues);
            assert!(queues.into_iter().any(|queue| queue.host == *host));
        }
        for line in self.lines.values() {
            assert!(line.in_flight <= line.concurrency);
            let waiting = line.queues.iter().map(|queue| queue.waiting.len());
            assert_eq!(line.waiting, waiting.sum::<usize>());
            let has_own = line.in_flight == 0 && self.kept > 0;
            let caller = &self.callers[&line.caller];
            let may_share = line.may_share() && caller.may_share(self.shared, self.reserve);
            let has_slot = has_own || self.shared > 0 && may_share;
            let has_room = line.in_flight < line.concurrency && has_slot;
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
