//! The results of `fetchd get`: each outcome is printed and counted.

use fetchd::client::{Error, Outcome, Request};
use futures_util::Stream;

use super::{Args, input::Input, output::Output, pending::Pending, summary::Summary};

/// Prints and counts outcomes.
pub(super) struct Results {
    output: Output,
    summary: Summary,
    pending: Pending,
    /// Requests that were lost with their call. They are held back until another
    /// request has a result, because a call that fails as a whole prints none.
    lost: Vec<Outcome>,
    has_result: bool,
}

/// The most lost requests to hold back, which bounds memory.
const MAX_LOST: usize = 10_000;

impl Results {
    pub(super) fn new(args: &Args, output: Output) -> Self {
        Self {
            output,
            summary: Summary::new(args),
            pending: Pending::default(),
            lost: Vec::new(),
            has_result: false,
        }
    }

    /// Returns the requests of `input`, whose outcomes are to be added.
    pub(super) fn requests(&self, input: Input) -> impl Stream<Item = Request> + Send + use<> {
        self.pending.read(input)
    }

    /// Prints and counts `outcome`, or holds it back if it was lost with its call.
    pub(super) fn add(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        let is_lost = matches!(outcome.error, Some(Error::Call { .. }));
        if is_lost && !self.has_result && self.lost.len() < MAX_LOST {
            self.lost.push(outcome);
            return Ok(());
        }
        self.has_result = true;
        for lost in std::mem::take(&mut self.lost) {
            self.print(&lost)?;
        }
        self.print(&outcome)
    }

    /// Returns why the call failed as a whole, if it did: the error of the first
    /// request that is still held back.
    pub(super) fn take_call_error(&mut self) -> Option<Error> {
        let lost = std::mem::take(&mut self.lost);
        lost.into_iter().find_map(|outcome| outcome.error)
    }

    /// Takes the error that ended the reading of the input, if there was one.
    pub(super) fn take_input_error(&self) -> Option<anyhow::Error> {
        self.pending.take_error()
    }

    /// Returns true if a printed outcome has an error.
    pub(super) fn has_errors(&self) -> bool {
        self.summary.has_errors()
    }

    /// Removes the progress bar and prints the summary.
    pub(super) fn finish(&self) {
        self.summary.finish();
    }

    /// Removes the progress bar.
    pub(super) fn clear(&self) {
        self.summary.clear();
    }

    fn print(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let url = self.pending.remove(outcome.index);
        self.summary.set_total(self.pending.total());
        self.summary.add(outcome);
        let output = &self.output;
        self.summary.suspend(|| output.print(&url, outcome))
    }
}
