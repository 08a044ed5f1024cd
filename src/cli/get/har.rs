//! Writes an HTTP archive (`--har`), which the developer tools of browsers open.
//!
//! The format is HAR 1.2, <http://www.softwareishard.com/blog/har-12-spec/>. Names that
//! start with an underscore aren't part of it.

mod entry;

use std::{path::Path, time::SystemTime};

use fetchd::client::{Error, Outcome};
use serde_json::json;

use super::{new_file::NewFile, pending};
use entry::Entry;

/// An HTTP archive. Entries are written as they come, so it takes no memory.
pub(super) struct Har {
    file: NewFile,
    /// When the list began.
    began: SystemTime,
    is_empty: bool,
}

const VERSION: &str = "1.2";

/// Says what the archive lacks.
const COMMENT: &str = "Bodies are left out, as are the values of headers that may be secret. \
    `blocked` includes earlier attempts and redirects, and `wait` includes sending.";

impl Har {
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let mut file = NewFile::create("--har", path)?;
        let creator = json!({ "name": "fetchd", "version": env!("CARGO_PKG_VERSION") });
        let start = format!(r#"{{"log":{{"version":"{VERSION}","creator":{creator},"entries":["#);
        file.append(start.as_bytes())?;
        Ok(Self {
            file,
            began: SystemTime::now(),
            is_empty: true,
        })
    }

    /// Adds an entry for the outcome of `request`.
    pub(super) fn add(
        &mut self,
        request: &pending::Entry,
        outcome: &Outcome,
    ) -> anyhow::Result<()> {
        let separator: &[u8] = if self.is_empty { b"\n" } else { b",\n" };
        self.is_empty = false;
        self.file.append(separator)?;
        let entry = serde_json::to_vec(&Entry::new(request, outcome, self.began))?;
        self.file.append(&entry)
    }

    /// Completes the file. `call_error` is set if the call failed as a whole.
    pub(super) fn finish(mut self, call_error: Option<&Error>) -> anyhow::Result<()> {
        let comment = match call_error {
            Some(error) => json!(format!("{error}. {COMMENT}")),
            None => json!(COMMENT),
        };
        let end = format!("\n],\"comment\":{comment}}}}}\n");
        self.file.append(end.as_bytes())?;
        self.file.finish()
    }
}
