//! Reads lines from a file or stdin.

use std::{
    fs, io as std_io,
    io::BufRead,
    mem,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use tokio::{
    fs::File,
    io::{self, AsyncBufRead, AsyncBufReadExt, AsyncReadExt, BufReader},
    task::spawn_blocking,
};

/// Reads a file line by line.
pub(super) struct Lines {
    reader: Box<dyn AsyncBufRead + Unpin + Send>,
    /// The file name, for error messages.
    name: String,
    /// The file's path. `None` for stdin and for anything that can only be read once.
    path: Option<PathBuf>,
    /// True if we can read to the end without waiting for anyone.
    is_file: bool,
    /// Number of the line we returned last. The first line is 1.
    number: u64,
    /// The bytes of the next line that we've read so far.
    partial: Vec<u8>,
}

/// Max length of a line, in bytes. It bounds our memory if the input isn't a list at all.
const MAX_LINE: usize = 128 << 20;

/// Editors on Windows write this at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Lines {
    /// Opens the file at `path`, or stdin if `path` is `-`.
    pub(super) async fn open(path: &Path) -> anyhow::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self {
                reader: Box::new(BufReader::new(io::stdin())),
                name: "standard input".to_owned(),
                path: None,
                is_file: Path::new("/dev/stdin").is_file(),
                number: 0,
                partial: Vec::new(),
            });
        }
        let name = path.display().to_string();
        let file = File::open(path).await;
        let file = file.with_context(|| format!("cannot open {name}"))?;
        if path.is_dir() {
            bail!("--input: expected a file, {name} is a directory");
        }
        Ok(Self {
            reader: Box::new(BufReader::new(file)),
            name,
            path: path.is_file().then(|| path.to_owned()),
            is_file: path.is_file(),
            number: 0,
            partial: Vec::new(),
        })
    }

    /// Returns the next line without its line break, or `None` at the end.
    ///
    /// This is cancel-safe: if we're dropped in the middle of a line, the next call
    /// picks up the bytes we've already read.
    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        let room = (MAX_LINE + 1).saturating_sub(self.partial.len()) as u64;
        let mut reader = (&mut self.reader).take(room);
        let read = reader.read_until(b'\n', &mut self.partial).await;
        read.with_context(|| format!("cannot read {}", self.name))?;
        self.number += 1;
        if self.partial.len() > MAX_LINE {
            bail!("{}: expected lines of at most 128 MiB", self.position());
        }
        let mut line = mem::take(&mut self.partial);
        if line.is_empty() {
            return Ok(None);
        }
        if self.number == 1 {
            remove_mark(&mut line);
        }
        if line.ends_with(b"\n") {
            line.pop();
        }
        Ok(Some(line))
    }

    /// Returns the file name and line number of the last line, for error messages.
    pub(super) fn position(&self) -> String {
        format!("{}, line {}", self.name, self.number)
    }

    pub(super) fn is_file(&self) -> bool {
        self.is_file
    }

    /// Counts the lines that aren't blank. Returns `None` if we could only read them once.
    pub(super) async fn count(&self, is_blank: fn(&[u8]) -> bool) -> Option<u64> {
        let path = self.path.clone()?;
        let count = spawn_blocking(move || count_lines(&path, is_blank)).await;
        count.ok()?.ok()
    }
}

fn count_lines(path: &Path, is_blank: fn(&[u8]) -> bool) -> std_io::Result<u64> {
    let mut reader = std_io::BufReader::new(fs::File::open(path)?);
    let mut line = Vec::new();
    let mut count = 0;
    let mut is_first = true;
    while reader.read_until(b'\n', &mut line)? > 0 {
        if is_first {
            remove_mark(&mut line);
        }
        is_first = false;
        count += u64::from(!is_blank(&line));
        line.clear();
    }
    Ok(count)
}

/// Removes the byte order mark from the first line.
fn remove_mark(line: &mut Vec<u8>) {
    if line.starts_with(BYTE_ORDER_MARK) {
        line.drain(..BYTE_ORDER_MARK.len());
    }
}
