//! Settings that can't be used, and the files that settings name.

use std::{
    fmt,
    fs::File,
    io::{self, Read},
    path::Path,
};

use super::Error;

/// A setting that can't be used.
///
/// The message never contains the value of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {problem}")]
pub struct InvalidSetting {
    /// The name of the setting, e.g. `tls_ca`. `fetchd get` has a flag of the same name.
    pub name: &'static str,
    /// What we expected, and what we got.
    pub problem: String,
}

/// The largest file that we read, in bytes. The bundle of a system's roots is a quarter of
/// this.
const MAX_FILE: u64 = 1 << 20;

impl InvalidSetting {
    pub(super) fn new(name: &'static str, problem: impl fmt::Display) -> Self {
        let problem = problem.to_string();
        Self { name, problem }
    }
}

impl From<InvalidSetting> for Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::invalid(invalid.to_string())
    }
}

/// Reads a file of certificates, a key or a token.
pub(super) fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    let file = File::open(path)?;
    file.take(MAX_FILE + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_FILE {
        let kind = io::ErrorKind::FileTooLarge;
        return Err(io::Error::new(kind, "it is larger than 1 MiB"));
    }
    Ok(content)
}
