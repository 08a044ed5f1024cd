//! Writes the input lines of failed requests to a file (`--failures`), so that they can be
//! tried again.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::NamedTempFile;

/// The file of failures.
///
/// It gets its name once it's complete. Until then, an earlier file of the same name
/// stays as it is, so it can be our input.
pub(super) struct Failures {
    writer: BufWriter<Target>,
    path: PathBuf,
    count: u64,
}

enum Target {
    /// A new file, which replaces the one at the path in the end.
    New(NamedTempFile),
    /// A device or a pipe. We can't replace these.
    Existing(File),
}

/// Like for any new file, the umask is applied to this.
const MODE: u32 = 0o666;

impl Failures {
    /// Creates the file. It's called `path` once [`Failures::finish`] is called.
    pub(super) fn create(path: &Path) -> anyhow::Result<Self> {
        let cannot_write = || format!("--failures: cannot write {}", path.display());
        // If the path is a symlink, replace the file it leads to.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let target = if path.exists() && !path.is_file() {
            File::options()
                .write(true)
                .open(&path)
                .map(Target::Existing)
        } else {
            let directory = path
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty());
            // An existing file may be private, since URLs may have credentials.
            let permissions = fs::metadata(&path).map(|file| file.permissions());
            tempfile::Builder::new()
                .prefix(".fetchd-failures-")
                .permissions(permissions.unwrap_or(Permissions::from_mode(MODE)))
                .tempfile_in(directory.unwrap_or(Path::new(".")))
                .map(Target::New)
        };
        Ok(Self {
            writer: BufWriter::new(target.with_context(cannot_write)?),
            path,
            count: 0,
        })
    }

    /// Adds the line of a failed request.
    pub(super) fn add(&mut self, line: &[u8]) -> anyhow::Result<()> {
        self.count += 1;
        let written = self.writer.write_all(line);
        written
            .and_then(|()| self.writer.write_all(b"\n"))
            .with_context(|| cannot_write(&self.path))
    }

    /// Completes the file. Returns the number of lines in it.
    pub(super) fn finish(self) -> anyhow::Result<u64> {
        let target = self.writer.into_inner().map_err(io::Error::from);
        let persisted = target.and_then(|target| match target {
            Target::New(file) => Ok(file.persist(&self.path).map(drop)?),
            Target::Existing(_) => Ok(()),
        });
        persisted.with_context(|| cannot_write(&self.path))?;
        Ok(self.count)
    }
}

fn cannot_write(path: &Path) -> String {
    format!("--failures: cannot write {}", path.display())
}

impl Write for Target {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::New(file) => file.write(bytes),
            Self::Existing(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
