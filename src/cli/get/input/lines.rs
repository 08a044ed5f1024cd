//! Reads lines from a file or stdin.

use std::{mem, path::Path};

use anyhow::Context;
use tokio::{
    fs::File,
    io::{self, AsyncBufRead, AsyncBufReadExt, BufReader},
};

/// Reads a file line by line.
pub(super) struct Lines {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    /// The file name, for error messages.
    name: String,
    /// Number of the line we returned last. The first line is 1.
    number: u64,
    /// The bytes of the next line that we've read so far.
    partial: Vec<u8>,
}

impl Lines {
    /// Opens the file at `path`, or stdin if `path` is `-`.
    pub(super) async fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            let stdin = BufReader::new(io::stdin());
            return Ok(Self::new(stdin, "standard input".to_owned()));
        }
        let name = path.display().to_string();
        let file = File::open(path).await;
        let file = file.with_context(|| format!("cannot open {name}"))?;
        Ok(Self::new(BufReader::new(file), name))
    }

    fn new(reader: impl AsyncBufRead + Unpin + Send + 'static, name: String) -> Self {
        Self {
            reader: Box::new(reader),
            name,
            number: 0,
            partial: Vec::new(),
        }
    }

    /// Returns the next line, or `None` at the end.
    ///
    /// This is cancel-safe: if we're dropped in the middle of a line, the next call
    /// picks up the bytes we've already read.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let read = self.reader.read_until(b'\n', &mut self.partial).await;
        read.with_context(|| format!("cannot read {}", self.name))?;
        self.number += 1;
        let line = mem::take(&mut self.partial);
        Ok((!line.is_empty()).then_some(line))
    }

    /// Returns the file name and line number of the last line, for error messages.
    pub(super) fn position(&self) -> String {
        format!("{}, line {}", self.name, self.number)
    }
}
