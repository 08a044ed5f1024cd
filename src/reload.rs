//! Settings that are read from files, and read again when the files change.

#[cfg(test)]
mod tests;

use std::{convert::Infallible, fmt, path::PathBuf, sync::Arc, time::Duration};

use aws_lc_rs::digest::{self, SHA256_OUTPUT_LEN};
use parking_lot::RwLock;
use tokio::{task, time};
use zeroize::Zeroizing;

use crate::{config::ConfigError, small_file};

/// A value read from files.
///
/// We compare the content of the files every [`INTERVAL`]. Notifications of the file
/// system would tell us sooner, but they're easily lost: Kubernetes replaces the files of
/// a Secret by renaming a symbolic link two folders away.
pub(crate) struct Reloaded<T> {
    files: Vec<SettingFile>,
    parse: Parse<T>,
    value: RwLock<Arc<T>>,
    /// What was read last, valid or not.
    seen: RwLock<Seen>,
}

/// A file with the flag that names it.
#[derive(Debug, Clone)]
pub(crate) struct SettingFile {
    flag: &'static str,
    path: PathBuf,
}

/// The content of a file.
pub(crate) struct Content<'a> {
    pub(crate) file: &'a SettingFile,
    pub(crate) bytes: &'a [u8],
}

/// Makes the value from the contents, which have the order of the files.
type Parse<T> = fn(&[Content<'_>]) -> Result<T, ConfigError>;

/// The content of each file, or why it can't be read. It's wiped when it's dropped, since it
/// may be a secret.
type Contents = Vec<Result<Zeroizing<Vec<u8>>, String>>;

/// The digest of each file, or why it can't be read. It's all that we keep, so that no secret
/// stays in memory only to be compared.
type Seen = Vec<Result<[u8; SHA256_OUTPUT_LEN], String>>;

/// How often the files are read. A change counts once two reads in a row have found it,
/// so that files which are written one after another are taken together.
const INTERVAL: Duration = Duration::from_millis(500);

impl<T> Reloaded<T> {
    /// Reads the value for the first time.
    pub(crate) fn load(files: Vec<SettingFile>, parse: Parse<T>) -> Result<Self, ConfigError> {
        let contents = read_all(&files);
        let value = parse_all(&files, &contents, parse)?;
        Ok(Self {
            files,
            parse,
            value: RwLock::new(Arc::new(value)),
            seen: RwLock::new(digests(&contents)),
        })
    }

    /// Returns the value that was valid last.
    pub(crate) fn current(&self) -> Arc<T> {
        Arc::clone(&self.value.read())
    }

    /// Watches the files until the future is dropped. `reloaded` is called after each
    /// change. If the new content isn't valid, the old value stays.
    pub(crate) async fn watch(&self, reloaded: impl Fn(Result<(), ConfigError>)) -> Infallible {
        let mut before = None;
        loop {
            time::sleep(INTERVAL).await;
            let files = self.files.clone();
            // It only fails if the runtime shuts down.
            let Ok(contents) = task::spawn_blocking(move || read_all(&files)).await else {
                continue;
            };
            let seen = digests(&contents);
            let is_new = *self.seen.read() != seen;
            if is_new && before.as_ref() == Some(&seen) {
                *self.seen.write() = seen;
                reloaded(self.replace(&contents));
                before = None;
            } else {
                before = is_new.then_some(seen);
            }
        }
    }

    fn replace(&self, contents: &Contents) -> Result<(), ConfigError> {
        let parsed = parse_all(&self.files, contents, self.parse)?;
        *self.value.write() = Arc::new(parsed);
        Ok(())
    }
}

impl SettingFile {
    pub(crate) fn new(flag: &'static str, path: PathBuf) -> Self {
        Self { flag, path }
    }

    /// Creates the error for a file that can't be used.
    pub(crate) fn unusable(&self, expected: &str) -> ConfigError {
        ConfigError::new(
            self.flag,
            self.path.display(),
            format!("expected {expected}"),
        )
    }
}

impl Content<'_> {
    /// Parses the content, which should be `expected`.
    pub(crate) fn parse<T>(
        &self,
        expected: &str,
        parse: impl Fn(&[u8]) -> Result<T, String>,
    ) -> Result<T, ConfigError> {
        parse(self.bytes).map_err(|found| self.unusable(expected, found))
    }

    /// Creates the error for content that can't be used. `found` says what's wrong with it.
    pub(crate) fn unusable(&self, expected: &str, found: impl fmt::Display) -> ConfigError {
        self.file.unusable(&format!("{expected} ({found})"))
    }
}

fn parse_all<T>(
    files: &[SettingFile],
    contents: &Contents,
    parse: Parse<T>,
) -> Result<T, ConfigError> {
    let readable = files.iter().zip(contents).map(|(file, read)| match read {
        Ok(bytes) => Ok(Content { file, bytes }),
        Err(error) => Err(file.unusable(&format!("a readable file ({error})"))),
    });
    parse(&readable.collect::<Result<Vec<_>, _>>()?)
}

fn read_all(files: &[SettingFile]) -> Contents {
    let read = |file: &SettingFile| {
        let read = small_file::read(&file.path);
        read.map(Zeroizing::new).map_err(|error| error.to_string())
    };
    files.iter().map(read).collect()
}

fn digests(contents: &Contents) -> Seen {
    let digest = |content: &Zeroizing<Vec<u8>>| {
        let digest = digest::digest(&digest::SHA256, content);
        let bytes = digest.as_ref().first_chunk();
        *bytes.expect("a SHA-256 digest has 32 bytes")
    };
    let contents = contents.iter();
    contents
        .map(|content| content.as_ref().map(digest).map_err(Clone::clone))
        .collect()
}
