//! A file that takes its name once it's complete.

use std::{
    fs::{self, File, Permissions},
    io::{self, BufWriter, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use tempfile::NamedTempFile;

/// A file that gets its name once it's complete.
///
/// Until then, an earlier file of the same name stays as it is, so it can be our input. If
/// this is dropped, the earlier file stays for good.
pub(super) struct NewFile {
    writer: BufWriter<Target>,
    path: PathBuf,
    /// The flag that names the file, for error messages.
    flag: &'static str,
}

enum Target {
    /// A new file, which replaces the one at the path in the end.
    New(NamedTempFile),
    /// A device or a pipe. We can't replace these.
    Existing(File),
}

/// Like for any new file, the umask is applied to this.
const MODE: u32 = 0o666;

impl NewFile {
    /// Creates the file. It's called `path` once [`NewFile::finish`] is called.
    pub(super) fn create(flag: &'static str, path: &Path) -> anyhow::Result<Self> {
        let target = open(path).with_context(|| cannot_write(flag, path))?;
        Ok(Self {
            writer: BufWriter::new(target),
            path: resolve(path),
            flag,
        })
    }

    /// Appends `bytes`.
    pub(super) fn append(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let written = self.writer.write_all(bytes);
        written.with_context(|| cannot_write(self.flag, &self.path))
    }

    /// Completes the file, and gives it its name.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        let target = self.writer.into_inner().map_err(io::Error::from);
        let persisted = target.and_then(|target| match target {
            Target::New(file) => Ok(file.persist(&self.path).map(drop)?),
            Target::Existing(_) => Ok(()),
        });
        persisted.with_context(|| cannot_write(self.flag, &self.path))
    }
}

fn open(path: &Path) -> io::Result<Target> {
    let path = resolve(path);
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    if path.exists() && !path.is_file() {
        return File::options()
            .write(true)
            .open(&path)
            .map(Target::Existing);
    }
    // An existing file may be private, since URLs may have credentials.
    let permissions = fs::metadata(&path).map(|file| file.permissions());
    tempfile::Builder::new()
        .prefix(".fetchd-")
        .permissions(permissions.unwrap_or(Permissions::from_mode(MODE)))
        .tempfile_in(directory(&path))
        .map(Target::New)
}

/// Returns true if both paths lead to the same file, which need not exist.
pub(super) fn is_same(one: &Path, other: &Path) -> bool {
    let absolute = |path: &Path| {
        let path = resolve(path);
        let name = path.file_name()?.to_owned();
        Some(fs::canonicalize(directory(&path)).ok()?.join(name))
    };
    absolute(one).is_some_and(|one| Some(one) == absolute(other))
}

/// If the path is a symlink, returns the file it leads to.
fn resolve(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

fn directory(path: &Path) -> &Path {
    let directory = path.parent();
    directory
        .filter(|directory| !directory.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

fn cannot_write(flag: &str, path: &Path) -> String {
    format!("{flag}: cannot write {}", path.display())
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
