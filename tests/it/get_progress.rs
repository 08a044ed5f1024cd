//! The progress line of `fetchd get`, on a terminal.

use std::{
    fs,
    io::Read,
    process::{Child, Command, Stdio},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::task::spawn_blocking;

use crate::support::{Origin, Process, metered_origin, until, within_timeout};

/// A command on a terminal of its own.
struct Terminal {
    child: Child,
    /// Everything it has printed.
    text: Arc<Mutex<String>>,
}

impl Terminal {
    /// Runs `fetchd get` with these arguments, which are parsed by the shell. Results go
    /// to `/dev/null`, so that the terminal only shows the progress line and the summary.
    fn get(arguments: &str) -> Self {
        let fetchd = env!("CARGO_BIN_EXE_fetchd");
        let line = format!(
            "stty rows 50 cols 200; exec {fetchd} get --allow-net 127.0.0.0/8 {arguments} >/dev/null"
        );
        Self::run(&line)
    }

    fn run(line: &str) -> Self {
        let mut child = Command::new("script")
            .args([
                "--quiet",
                "--flush",
                "--return",
                "--command",
                line,
                "/dev/null",
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let text = Arc::<Mutex<String>>::default();
        let mut output = child.stdout.take().unwrap();
        let shared = Arc::clone(&text);
        // This ends when the terminal is closed.
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                shared
                    .lock()
                    .push_str(&String::from_utf8_lossy(&buffer[..count]));
            }
        });
        Self { child, text }
    }

    /// Waits until the terminal has shown `part`.
    async fn shows(&self, part: &str) {
        until(|| self.text.lock().contains(part)).await;
    }

    /// Waits until the command exits. Returns its exit code and everything it has
    /// printed.
    async fn finish(mut self) -> (Option<i32>, String) {
        let status = spawn_blocking(move || self.child.wait().unwrap());
        let status = within_timeout(status).await.unwrap();
        until(|| Arc::strong_count(&self.text) == 1).await;
        let text = self.text.lock().clone();
        (status.code(), text)
    }
}

fn urls(origin: &Origin, count: usize) -> String {
    let urls: Vec<_> = (0..count).map(|index| origin.url(index)).collect();
    urls.join("\n") + "\n# a comment\n\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_a_file_has_a_total() {
    let (origin, gate) = metered_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    // More than are read ahead.
    fs::write(&list, urls(&origin, 300)).unwrap();
    let terminal = Terminal::get(&format!("-c 10 -i {}", list.display()));
    terminal.shows("0/300 done, 0 failed").await;
    gate.add_permits(30);
    terminal.shows("30/300 done").await;
    gate.add_permits(300);
    let (code, text) = terminal.finish().await;
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("300 requests in") && text.contains(" left"),
        "{text}"
    );
    // The rate is a whole number.
    let rates = text
        .split("/s, ")
        .filter_map(|part| part.rsplit(' ').next());
    for rate in rates.take(text.matches("/s, ").count()) {
        assert!(rate.parse::<u64>().is_ok(), "{rate}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_of_standard_input_has_no_total() {
    let (origin, gate) = metered_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    fs::write(&list, urls(&origin, 30)).unwrap();
    let line = format!("-c 10 -i - < <(cat {})", list.display());
    let fetchd = env!("CARGO_BIN_EXE_fetchd");
    let get = format!("{fetchd} get --allow-net 127.0.0.0/8 {line} >/dev/null");
    let terminal = Terminal::run(&format!(
        "bash -c 'stty rows 50 cols 200 </dev/tty; exec {get}'"
    ));
    gate.add_permits(20);
    terminal.shows(" 20 done, 0 failed").await;
    gate.add_permits(10);
    let (code, text) = terminal.finish().await;
    assert_eq!(code, Some(0), "{text}");
    assert!(!text.contains("left") && !text.contains("/30"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_tells_that_the_service_does_not_answer() {
    let (origin, gate) = metered_origin().await;
    let service = Process::serve(&[]);
    let address = service.address().to_owned();
    let (url, first, second) = (&service.url, origin.url(1), origin.url(2));
    let fetchd = env!("CARGO_BIN_EXE_fetchd");
    let get = format!("exec {fetchd} get --server {url} {first} {second} >/dev/null");
    let terminal = Terminal::run(&format!("stty rows 24 cols 80; {get}"));
    until(|| origin.seen() == 2).await;
    drop(service);
    // All of this fits into a narrow terminal.
    terminal.shows("0/2 done; no answer for ").await;
    terminal.shows(" s, trying for 2").await;
    terminal.shows(&format!(" s more: {address} (")).await;
    let shown = terminal.text.lock().len();
    let _again = Process::serve_at(&address);
    // The usual line is back.
    until(|| terminal.text.lock()[shown..].contains("0 failed, 0/s")).await;
    gate.add_permits(4);
    let (code, text) = terminal.finish().await;
    assert_eq!(code, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_list_says_how_many_remain() {
    let (origin, gate) = metered_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    fs::write(&list, urls(&origin, 300)).unwrap();
    let mut terminal = Terminal::get(&format!("-c 10 -i {}", list.display()));
    gate.add_permits(20);
    terminal.shows("20/300 done").await;
    // This is what a terminal sends for Ctrl-C.
    std::io::Write::write_all(terminal.child.stdin.as_mut().unwrap(), b"\x03").unwrap();
    let (code, text) = terminal.finish().await;
    assert_eq!(code, Some(130), "{text}");
    assert!(
        text.contains("20 requests in") && text.contains("280 requests remain"),
        "{text}"
    );
}
