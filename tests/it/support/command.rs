//! Runs `fetchd` commands as child processes.

use std::{
    io::Write,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::task::spawn_blocking;

use super::{Origin, reply, within_timeout};

/// The flag that lets `fetchd get` reach our origins.
pub(crate) const LOCAL: [&str; 2] = ["--allow-net", "127.0.0.0/8"];

/// Runs `fetchd` until it exits. `input` is its standard input.
pub(crate) async fn fetchd(arguments: &[&str], input: impl Into<Vec<u8>>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fetchd"));
    command.args(arguments).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let input = input.into();
    let run = spawn_blocking(move || {
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || {
            // This may fail: if a command doesn't read its input, it closes the pipe.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        writing.join().unwrap();
        output
    });
    within_timeout(run).await.unwrap()
}

pub(crate) fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Starts an origin that sends back the path. How long that takes depends on the path.
pub(crate) async fn uneven() -> Origin {
    Origin::new(|request| async move {
        let path = request.uri().path().to_owned();
        let delay = path.bytes().map(u64::from).sum::<u64>() * 7 % 20;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        reply(path)
    })
    .await
}

/// Like [`fetchd`], but with environment variables and no input.
pub(crate) async fn fetchd_with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fetchd"));
    command.args(arguments).envs(variables.iter().copied());
    let run = spawn_blocking(move || command.output().unwrap());
    within_timeout(run).await.unwrap()
}

/// Starts `fetchd` with piped output. Use [`finish`] to wait for it.
pub(crate) fn spawn(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fetchd"));
    command.args(arguments).stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Waits until a command exits.
pub(crate) async fn finish(child: Child) -> Output {
    let finished = spawn_blocking(|| child.wait_with_output().unwrap());
    within_timeout(finished).await.unwrap()
}

/// Sends a signal, e.g. "INT", to a process.
pub(crate) fn signal(process: u32, name: &str) {
    let process = process.to_string();
    let sent = Command::new("kill").args(["-s", name, &process]).status();
    assert!(sent.unwrap().success());
}
