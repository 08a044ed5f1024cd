//! Prints one JSON object per line on stdout. With `--output`, bodies go to files
//! instead.

mod record;

use std::io::{self, Write};

use anyhow::Context;
use fetchd::client::Outcome;

use super::{args, body_files::BodyFiles, pending::Entry};
use record::{Body, Record};

/// Where results go.
pub(super) struct Output {
    body_files: Option<BodyFiles>,
    prints_bodies: bool,
}

impl Output {
    pub(super) fn new(args: &args::Results, body_files: Option<BodyFiles>) -> Self {
        Self {
            body_files,
            prints_bodies: !args.no_body,
        }
    }

    pub(super) fn body_files(&self) -> Option<&BodyFiles> {
        self.body_files.as_ref()
    }

    /// Prints the outcome of the request `entry`.
    pub(super) fn print(&self, entry: &Entry, outcome: &Outcome) -> anyhow::Result<()> {
        let body = match (&self.body_files, &entry.file, &outcome.response) {
            (Some(files), Some(name), Some(response)) if outcome.error.is_none() => {
                Body::File(files.write(name, &response.body)?)
            }
            (None, ..) if self.prints_bodies => Body::Inline,
            // This includes incomplete bodies: half a body would look like a whole one in
            // a file.
            _ => Body::Omitted,
        };
        let record = Record::new(entry.id.as_deref(), &entry.url, outcome, body);
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(&line).and_then(|()| stdout.flush());
        written.context("cannot write to standard output")
    }
}

/// Returns the line that we print for `outcome` by default, without its line break.
pub(in crate::cli) fn result_line(url: &str, outcome: &Outcome) -> anyhow::Result<String> {
    let record = Record::new(None, url, outcome, Body::Inline);
    Ok(serde_json::to_string(&record)?)
}
