//! Writes bodies to files (`--output`).

use std::{
    fs::{self, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use anyhow::Context;
use url::Url;

use super::args;

/// A directory of files, one per body. They are named after the request.
#[derive(Clone)]
pub(super) struct BodyFiles {
    directory: PathBuf,
    overwrites: bool,
}

/// Max length of the part of a file's name that comes from the URL's path. Names of more
/// than 255 bytes aren't possible, and a host has up to 253, so we cut both.
const MAX_HOST: usize = 120;
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
        }))
    }

    /// If we must not write the body of a request, because its file exists, returns the
    /// error for that request.
    pub(super) fn conflict(&self, index: usize, url: &str) -> Option<String> {
        let path = self.path(index, url);
        // Broken symlinks count as well.
        let exists = !self.overwrites && fs::symlink_metadata(&path).is_ok();
        exists.then(|| format!("{} exists; --force overwrites it", path.display()))
    }

    /// Writes `body`. The file only appears once it's complete. Returns its path.
    pub(super) fn write(&self, index: usize, url: &str, body: &[u8]) -> anyhow::Result<String> {
        let path = self.path(index, url);
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

    fn path(&self, index: usize, url: &str) -> PathBuf {
        self.directory.join(file_name(index, url))
    }
}

/// Names the file of a body, e.g. `00017-example.com-index.html`. The name only has
/// characters that are harmless in a path.
fn file_name(index: usize, url: &str) -> String {
    let Ok(url) = Url::parse(url) else {
        return format!("{index:05}");
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
    format!("{index:05}-{host}-{path}")
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
            assert_eq!(file_name(index, url), name, "{url}");
        }
        let long = format!("http://{0}/{0}.tar.gz", "a".repeat(1000));
        let name = file_name(0, &long);
        assert!(name.len() < 255 && name.ends_with("a.tar.gz"), "{name}");
    }
}
