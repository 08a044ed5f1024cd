//! The lines of a file or of standard input.

use std::{mem, path::Path};

use anyhow::Context;
use tokio::{
    fs::File,
    io::{self, AsyncBufRead, AsyncBufReadExt, BufReader},
};

/// Reads a file line by line.
pub(super) struct Lines {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    /// The name of the file, for errors.
    name: String,
    /// The number of the last line, from 1.
    number: u64,
    /// The beginning of the next line.
    partial: Vec<u8>,
}

impl Lines {
    /// Opens the file at `path`, or standard input if that is `-`.
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

    /// Returns the next line, or `None` at the end. Cancel-safe: the beginning of a
    /// line is kept.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let read = self.reader.read_until(b'\n', &mut self.partial).await;
        read.with_context(|| format!("cannot read {}", self.name))?;
        self.number += 1;
        let line = mem::take(&mut self.partial);
        Ok((!line.is_empty()).then_some(line))
    }

    /// Returns the position of the last line, for errors.
    pub(super) fn position(&self) -> String {
        format!("{}, line {}", self.name, self.number)
    }
}
