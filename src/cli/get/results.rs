//! Prints and counts the outcomes of `fetchd get`.

use fetchd::client::{Error, Outcome, Request};
use futures_util::Stream;

use super::{Args, input::Input, output::Output, pending::Pending, summary::Summary};

/// Prints outcomes and counts them for the summary.
pub(super) struct Results {
    output: Output,
    summary: Summary,
    pending: Pending,
    /// Requests that were lost along with their call. We hold these back until another
    /// request has a result: if the call fails as a whole, we want to print its error
    /// only, and not the requests.
    lost: Vec<Outcome>,
    has_result: bool,
}

/// Max lost requests to hold back, to bound memory. The next one makes us print them
/// all.
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

    /// Returns the requests in `input`. Pass their outcomes to `add`.
    pub(super) fn requests(&self, input: Input) -> impl Stream<Item = Request> + Send + use<> {
        self.pending.read(input)
    }

    /// Prints and counts `outcome`. If it was lost along with its call, we may hold it
    /// back instead (see `lost`).
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

    /// If the call failed as a whole, returns its error. That's the case if we're still
    /// holding requests back at the end, and we simply take the first one's error.
    pub(super) fn take_call_error(&mut self) -> Option<Error> {
        let lost = std::mem::take(&mut self.lost);
        lost.into_iter().find_map(|outcome| outcome.error)
    }

    /// Takes the error that made us stop reading the input, if any.
    pub(super) fn take_input_error(&self) -> Option<anyhow::Error> {
        self.pending.take_error()
    }

    /// Returns true if we've printed an outcome with an error.
    pub(super) fn has_errors(&self) -> bool {
        self.summary.has_errors()
    }

    /// Removes the progress bar, then prints the summary.
    pub(super) fn finish(&self) {
        self.summary.finish();
    }

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
