//! Writes bodies to files (`--output`).

use std::{
    collections::HashSet,
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context;
use parking_lot::Mutex;
use serde_json::value::RawValue;
use url::Url;

use super::args;

/// A directory of files, one per body. They are named after the request. Clones share the
/// same state.
#[derive(Clone)]
pub(super) struct BodyFiles {
    directory: PathBuf,
    overwrites: bool,
    /// The names so far. We don't know if ids are unique.
    names: Arc<Mutex<HashSet<String>>>,
}

/// Max lengths of the parts of a file's name. A name can't have more than 255 bytes.
const MAX_ID: usize = 60;
const MAX_HOST: usize = 90;
const MAX_PATH: usize = 100;

/// Like for any new file, the umask is applied to this.
const MODE: u32 = 0o666;

impl BodyFiles {
    /// Creates the directory, if there is one in `args`.
    pub(super) fn create(args: &args::Results) -> anyhow::Result<Option<Self>> {
        let Some(directory) = args.output.clone() else {
            return Ok(None);
        };
        fs::create_dir_all(&directory)
            .with_context(|| format!("--output: cannot create {}", directory.display()))?;
        Ok(Some(Self {
            directory,
            overwrites: args.force,
            names: Arc::default(),
        }))
    }

    /// Names the file of a request. `id` is the one of its input line.
    ///
    /// # Errors
    ///
    /// Returns the error for the request if we must not write its file: it exists, or it
    /// belongs to an earlier line with the same id.
    pub(super) fn name(
        &self,
        index: usize,
        id: Option<&RawValue>,
        url: &str,
    ) -> Result<String, String> {
        let name = file_name(index, id, url);
        let path = self.directory.join(&name);
        // Broken symlinks count as well.
        if !self.overwrites && fs::symlink_metadata(&path).is_ok() {
            return Err(format!("{} exists; --force overwrites it", path.display()));
        }
        if !self.names.lock().insert(name.clone()) {
            return Err(format!(
                "expected different ids, since {} is the file of an earlier line",
                path.display()
            ));
        }
        Ok(name)
    }

    /// Writes `body` to the file `name`, which only appears once it's complete. Returns
    /// its path.
    pub(super) fn write(&self, name: &str, body: &[u8]) -> anyhow::Result<String> {
        let path = self.directory.join(name);
        self.write_to(&path, body)
            .with_context(|| format!("--output: cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    }

    fn write_to(&self, path: &Path, body: &[u8]) -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(".fetchd-body-")
            .permissions(Permissions::from_mode(MODE))
            .tempfile_in(&self.directory)?;
        file.write_all(body)?;
        if self.overwrites {
            file.persist(path)?;
        } else {
            file.persist_noclobber(path)?;
        }
        Ok(())
    }
}

/// Names the file of a body, e.g. `00017-example.com-index.html`. It begins with the id of
/// the line, or with its index if it has none. If failures are tried again, the index
/// isn't the same, but the id is.
///
/// The name only has characters that are harmless in a path.
fn file_name(index: usize, id: Option<&RawValue>, url: &str) -> String {
    let start = match id.map(RawValue::get) {
        Some(id) if id.parse::<u64>().is_ok() => format!("{id:0>5}"),
        Some(id) => harmless(id.trim_matches('"')),
        None => format!("{index:05}"),
    };
    let start = start[..start.len().min(MAX_ID)].to_owned();
    let Ok(url) = Url::parse(url) else {
        return start;
    };
    let host = url.host_str().unwrap_or_default();
    let host = harmless(host.trim_matches(['[', ']']));
    let host = &host[..host.len().min(MAX_HOST)];
    let segments: Vec<_> = url
        .path()
        .split('/')
        .filter(|part| !part.is_empty())
        .collect();
    let path = if segments.is_empty() {
        "index.html".to_owned()
    } else {
        harmless(&segments.join("-"))
    };
    // The end of a path has the extension, so we cut the start.
    let path = &path[path.len().saturating_sub(MAX_PATH)..];
    format!("{start}-{host}-{path}")
}

/// Replaces everything but ASCII letters, digits, dots, hyphens and underscores.
fn harmless(text: &str) -> String {
    let is_harmless = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    text.chars()
        .map(|c| if is_harmless(c) { c } else { '_' })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_before_indices() {
        for (id, start) in [
            ("7", "00007-"),
            ("-1.5", "-1.5-"),
            (r#""../a b""#, ".._a_b-"),
        ] {
            let id = RawValue::from_string(id.to_owned()).unwrap();
            let name = file_name(3, Some(&id), "http://a.example/");
            assert_eq!(name, format!("{start}a.example-index.html"));
        }
    }

    #[test]
    fn files_are_named_after_index_host_and_path() {
        for (index, url, name) in [
            (17, "https://example.com/", "00017-example.com-index.html"),
            (
                0,
                "http://u:p@a.example:81/b/c.json?key#d",
                "00000-a.example-b-c.json",
            ),
            (
                1,
                "http://[::1]/%2e%2e/..%2f..%2fetc/",
                "00001-__1-.._2f.._2fetc",
            ),
            (2, "http://a.example/../\\..//x y", "00002-a.example-x_20y"),
            (
                123_456,
                "http://bücher.example/ü",
                "123456-xn--bcher-kva.example-_C3_BC",
            ),
            (3, "nonsense", "00003"),
        ] {
            assert_eq!(file_name(index, None, url), name, "{url}");
        }
        let long = format!("http://{0}/{0}.tar.gz", "a".repeat(1000));
        let id = RawValue::from_string(format!("{:?}", "i".repeat(1000))).unwrap();
        let name = file_name(0, Some(&id), &long);
        assert!(name.len() < 255 && name.ends_with("a.tar.gz"), "{name}");
    }
}
