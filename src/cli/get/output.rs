//! Prints one JSON object per line on stdout. With `--output`, bodies go to files
//! instead.

mod record;

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use anyhow::Context;
use fetchd::client::{Outcome, Response};

use super::Args;
use record::Record;

/// Where results go.
pub(super) struct Output {
    /// The directory for body files, if we write any.
    directory: Option<PathBuf>,
    prints_bodies: bool,
}

impl Output {
    /// Creates the `--output` directory, if there is one in `args`.
    pub(super) fn create(args: &Args) -> anyhow::Result<Self> {
        if let Some(directory) = &args.output {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot create the directory {}", directory.display()))?;
        }
        Ok(Self {
            directory: args.output.clone(),
            prints_bodies: !args.no_body && args.output.is_none(),
        })
    }

    /// Prints the outcome for `url`.
    pub(super) fn print(&self, url: &str, outcome: &Outcome) -> anyhow::Result<()> {
        let mut record = Record::new(url, outcome, self.prints_bodies);
        if let (Some(directory), Some(response)) = (&self.directory, &outcome.response) {
            record.file = Some(write_body(directory, outcome.index, response)?);
        }
        let mut line = serde_json::to_vec(&record)?;
        line.push(b'\n');
        let mut stdout = io::stdout().lock();
        stdout.write_all(&line)?;
        stdout.flush()?;
        Ok(())
    }
}

/// Writes the body to a file named after the index. Returns the file's path.
fn write_body(directory: &Path, index: usize, response: &Response) -> anyhow::Result<String> {
    let path = directory.join(index.to_string());
    fs::write(&path, &response.body).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.display().to_string())
}
