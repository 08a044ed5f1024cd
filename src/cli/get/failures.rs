//! Writes the input lines of failed requests to a file (`--failures`), so that they can be
//! tried again.

use std::path::Path;

use super::new_file::NewFile;

/// The file of failures. It may be our input (see [`NewFile`]).
pub(super) struct Failures {
    file: NewFile,
    count: u64,
}

impl Failures {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let file = NewFile::create("--failures", path)?;
        Ok(Self { file, count: 0 })
    }

    /// Adds the line of a failed request.
    pub(super) fn add(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.count += 1;
        self.file.append(line)?;
        self.file.append(b"\n")
    }

    /// Completes the file. Returns the number of lines in it.
    pub(super) fn finish(self) -> anyhow::Result<u64> {
        self.file.finish()?;
        Ok(self.count)
    }
}
