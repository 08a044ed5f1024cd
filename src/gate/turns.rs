//! Whose turn it is: the callers in turn, and the lines of each in turn.

use std::collections::{BTreeMap, VecDeque};

use super::state::LineId;
use crate::caller::Caller;

/// Lines that could use a shared slot.
#[derive(Default)]
pub(super) struct Turns {
    callers: VecDeque<Caller>,
    /// At least one for each of `callers`, and none for others.
    lines: BTreeMap<Caller, VecDeque<LineId>>,
}

impl Turns {
    /// Puts a line of `caller` at the end.
    pub(super) fn push(&mut self, caller: Caller, line: LineId) {
        let lines = self.lines.entry(caller).or_default();
        if lines.is_empty() {
            self.callers.push_back(caller);
        }
        lines.push_back(line);
    }

    /// Takes the next line that `is_allowed`. Those that are not keep their place.
    pub(super) fn pop(&mut self, is_allowed: impl Fn(LineId) -> bool) -> Option<LineId> {
        let lines = self.callers.iter().map(|caller| &self.lines[caller]);
        let mut found = lines.map(|lines| lines.iter().position(|line| is_allowed(*line)));
        let (caller, line) = found
            .by_ref()
            .zip(0..)
            .find_map(|(line, caller)| Some((caller, line?)))?;
        let caller = self.callers.remove(caller)?;
        let lines = self.lines.get_mut(&caller)?;
        let line = lines.remove(line);
        if lines.is_empty() {
            self.lines.remove(&caller);
        } else {
            self.callers.push_back(caller);
        }
        line
    }

    /// Takes out `line` of `caller`.
    pub(super) fn remove(&mut self, caller: Caller, line: LineId) {
        let Some(lines) = self.lines.get_mut(&caller) else {
            return;
        };
        lines.retain(|waiting| *waiting != line);
        if lines.is_empty() {
            self.lines.remove(&caller);
            self.callers.retain(|waiting| *waiting != caller);
        }
    }

    /// Returns true if a line of another than `caller` has a turn.
    pub(super) fn has_beside(&self, caller: Caller) -> bool {
        self.callers.iter().any(|waiting| *waiting != caller)
    }
}
