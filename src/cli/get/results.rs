//! Prints and counts the outcomes of `fetchd get`.

use std::time::Duration;

use fetchd::client::{Error, Outage, Outcome, Request, Response};
use futures_util::Stream;
use tokio::time;

use super::{
    Args,
    exports::Exports,
    failures::Failures,
    input::Input,
    output::Output,
    pending::Pending,
    progress::Progress,
    summary::{Remaining, Summary},
};

/// Prints outcomes and counts them for the summary.
pub(super) struct Results {
    output: Output,
    summary: Summary,
    progress: Progress,
    failures: Option<Failures>,
    exports: Exports,
    pending: Pending,
    /// True if responses with an error status are failures (`--fail`).
    fails_on_status: bool,
    /// Requests that were lost along with their call. We hold these back until another
    /// request has a result: if the call fails as a whole, we want to print its error
    /// only, and not the requests.
    lost: Vec<Outcome>,
    has_result: bool,
}

/// Max lost requests to hold back, to bound memory. The next one makes us print them
/// all.
const MAX_LOST: usize = 10_000;

/// How long we wait for the rest of an input that isn't a file, to write it to
/// `--failures`. Whoever writes it may have been interrupted as well, or may never stop.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

impl Results {
    /// Prepares for the results of `input`.
    pub(super) async fn new(
        args: &Args,
        input: Input,
        output: Output,
        failures: Option<Failures>,
        exports: Exports,
    ) -> Self {
        let progress = Progress::new(args, &input).await;
        let body_files = output.body_files().cloned();
        let pending = Pending::new(input, body_files, exports.need_requests());
        Self {
            output,
            summary: Summary::new(args),
            progress,
            failures,
            exports,
            pending,
            fails_on_status: args.results.fail,
            lost: Vec::new(),
            has_result: false,
        }
    }

    /// Returns the requests of the input. Pass their outcomes to `add`.
    pub(super) fn requests(&self) -> impl Stream<Item = Request> + Send + use<> {
        self.pending.requests()
    }

    /// Prints and counts `outcome`. If it was lost along with its call, we may hold it
    /// back instead (see `lost`).
    pub(super) fn add(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        let is_lost = matches!(
            outcome.error,
            Some(Error::Call { .. } | Error::ServiceLost { .. })
        );
        if is_lost && !self.has_result && self.lost.len() < MAX_LOST {
            self.lost.push(outcome);
            return Ok(());
        }
        self.print_lost()?;
        self.print(&outcome)
    }

    /// Prints the requests we've held back.
    pub(super) fn print_lost(&mut self) -> anyhow::Result<()> {
        self.has_result = true;
        for lost in std::mem::take(&mut self.lost) {
            self.print(&lost)?;
        }
        Ok(())
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

    /// Returns true if we've printed a failure.
    pub(super) fn has_failures(&self) -> bool {
        self.summary.failed() > 0
    }

    /// Updates the progress line. `early` is the number of outcomes that wait for an
    /// earlier one.
    pub(super) fn show_progress(&self, early: usize, outage: Option<&Outage>) {
        let done = self.summary.done() + early as u64;
        self.progress.show(done, self.summary.failed(), outage);
    }

    /// Writes all requests without an outcome to the failures, including those we
    /// haven't read yet. Then removes the progress line and prints the summary. If the
    /// call failed as a whole with `call_error`, there's none.
    pub(super) async fn finish(&mut self, call_error: Option<&Error>) -> anyhow::Result<()> {
        self.progress.clear();
        let written = self.write_remaining().await;
        let remaining = written.as_ref().ok().copied().unwrap_or_default();
        let failures = self.failures.take().map(Failures::finish).transpose();
        let exported = self.exports.finish(&self.summary, remaining, call_error);
        if call_error.is_none() {
            self.summary
                .print(remaining, failures.as_ref().ok().copied().flatten());
        }
        failures?;
        exported?;
        written?;
        self.take_input_error().map_or(Ok(()), Err)
    }

    /// Counts the requests without an outcome, and writes them to the failures.
    async fn write_remaining(&mut self) -> anyhow::Result<Remaining> {
        let mut remaining = Remaining::default();
        while let Some(entry) = self.pending.pop_first() {
            remaining.count += 1;
            self.write_failure(&entry.line)?;
        }
        let is_file = self.pending.is_file().await;
        if !is_file && self.failures.is_none() {
            remaining.has_more = !self.pending.has_ended();
            return Ok(remaining);
        }
        let timeout = if is_file { Duration::MAX } else { REST_TIMEOUT };
        let rest = time::timeout(timeout, self.write_rest(&mut remaining)).await;
        remaining.has_more = rest.is_err();
        rest.unwrap_or(Ok(()))?;
        Ok(remaining)
    }

    /// Counts the requests that we haven't read yet, and writes them to the failures.
    async fn write_rest(&mut self, remaining: &mut Remaining) -> anyhow::Result<()> {
        while let Some(entry) = self.pending.take_next().await {
            remaining.count += 1;
            self.write_failure(&entry.line)?;
        }
        Ok(())
    }

    fn is_failure(&self, outcome: &Outcome) -> bool {
        let is_error = |response: &Response| {
            response.status.is_client_error() || response.status.is_server_error()
        };
        outcome.error.is_some()
            || (self.fails_on_status && outcome.response.as_ref().is_some_and(is_error))
    }

    fn write_failure(&mut self, line: &[u8]) -> anyhow::Result<()> {
        match &mut self.failures {
            Some(failures) => failures.add(line),
            None => Ok(()),
        }
    }

    fn print(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let Some(entry) = self.pending.get(outcome.index) else {
            return Ok(());
        };
        let output = &self.output;
        self.progress.suspend(|| output.print(&entry, outcome))?;
        self.pending.remove(outcome.index);
        let is_failed = self.is_failure(outcome);
        if is_failed {
            self.write_failure(&entry.line)?;
        }
        self.summary.add(&entry.url, outcome, is_failed);
        self.exports.add(&entry, outcome)
    }
}
