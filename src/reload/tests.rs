use std::{fs, os::unix::fs::symlink, sync::mpsc};

use tempfile::TempDir;

use super::*;

/// A value from two files, and what its reloads have reported.
struct Watched {
    folder: TempDir,
    reports: mpsc::Receiver<Result<(), String>>,
    value: Arc<Reloaded<String>>,
    begun: time::Instant,
    _watching: tokio_util::task::AbortOnDropHandle<()>,
}

/// Joins the texts of two files. Fails if one of them is empty.
fn join(contents: &[Content<'_>]) -> Result<String, ConfigError> {
    let mut joined = String::new();
    for content in contents {
        match str::from_utf8(content.bytes).unwrap() {
            "" => return Err(content.file.unusable("a text")),
            text => joined.push_str(text),
        }
    }
    Ok(joined)
}

impl Watched {
    fn start(folder: TempDir, paths: [&str; 2]) -> Self {
        let path = |name: &str| folder.path().join(name);
        let files = vec![
            SettingFile::new("one", path(paths[0])),
            SettingFile::new("two", path(paths[1])),
        ];
        let value = Arc::new(Reloaded::load(files, join).unwrap());
        let (report, reports) = mpsc::channel();
        let watched = Arc::clone(&value);
        let watching = tokio::spawn(async move {
            let reloaded = |reloaded: Result<(), ConfigError>| {
                let reloaded = reloaded.map_err(|error| error.to_string());
                report.send(reloaded).unwrap();
            };
            match watched.watch(reloaded).await {}
        });
        Self {
            folder,
            reports,
            value,
            begun: time::Instant::now(),
            _watching: tokio_util::task::AbortOnDropHandle::new(watching),
        }
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    /// Lets the watcher read the files often enough to notice a change. Returns halfway
    /// between two reads.
    async fn settle(&self) {
        time::sleep(4 * INTERVAL).await;
        let since_start = self.begun.elapsed().as_millis() % INTERVAL.as_millis();
        let since_start = u64::try_from(since_start).unwrap();
        let until_half = (INTERVAL * 3 / 2).saturating_sub(Duration::from_millis(since_start));
        time::sleep(until_half).await;
    }
}

fn two_files() -> Watched {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one"), "a").unwrap();
    fs::write(folder.path().join("two"), "b").unwrap();
    Watched::start(folder, ["one", "two"])
}

#[tokio::test(start_paused = true)]
async fn files_that_are_written_one_after_another_are_taken_together() {
    let watched = two_files();
    watched.settle().await;
    watched.write("one", "c");
    // One read falls between the two.
    time::sleep(INTERVAL).await;
    watched.write("two", "d");
    watched.settle().await;
    assert_eq!(*watched.value.current(), "cd");
    assert_eq!(watched.reports.try_iter().collect::<Vec<_>>(), [Ok(())]);
}

#[tokio::test(start_paused = true)]
async fn content_that_cannot_be_used_is_reported_once_and_changes_nothing() {
    let watched = two_files();
    watched.write("two", "");
    watched.settle().await;
    fs::remove_file(watched.folder.path().join("one")).unwrap();
    watched.settle().await;
    watched.settle().await;
    assert_eq!(*watched.value.current(), "ab");
    let reports: Vec<_> = watched.reports.try_iter().collect();
    let expected = ["--two: expected a text", "--one: expected a readable file"];
    assert_eq!(reports.len(), expected.len(), "{reports:?}");
    for (report, expected) in reports.iter().zip(expected) {
        let error = report.as_ref().unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    watched.write("one", "e");
    watched.write("two", "f");
    watched.settle().await;
    assert_eq!(*watched.value.current(), "ef");
    assert_eq!(watched.reports.try_iter().collect::<Vec<_>>(), [Ok(())]);
}

#[tokio::test(start_paused = true)]
async fn files_may_be_replaced_by_swapping_a_link() {
    // This is how Kubernetes replaces the files of a Secret.
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for (version, texts) in [("..1", ["a", "b"]), ("..2", ["c", "d"])] {
        fs::create_dir(path(version)).unwrap();
        fs::write(path(version).join("one"), texts[0]).unwrap();
        fs::write(path(version).join("two"), texts[1]).unwrap();
    }
    symlink("..1", path("..data")).unwrap();
    for name in ["one", "two"] {
        symlink(format!("..data/{name}"), path(name)).unwrap();
    }
    symlink("..2", path("..new")).unwrap();
    let watched = Watched::start(folder, ["one", "two"]);
    assert_eq!(*watched.value.current(), "ab");
    let path = |name: &str| watched.folder.path().join(name);
    fs::rename(path("..new"), path("..data")).unwrap();
    watched.settle().await;
    assert_eq!(*watched.value.current(), "cd");
}

#[test]
fn file_that_is_too_large_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one");
    fs::write(&path, vec![b'a'; (1 << 20) + 1]).unwrap();
    let error = Reloaded::load(vec![SettingFile::new("one", path)], join);
    let error = error.err().unwrap().to_string();
    assert!(error.contains("it has more than 1048576 bytes"), "{error}");
}
