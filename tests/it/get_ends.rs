//! How `fetchd get` ends: complete, interrupted, or without a service.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::support::{
    Origin, Process,
    command::{LOCAL, fetchd, stderr, uneven},
    reply, until, within_timeout,
};

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_get_prints_the_finished_results() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        reply("there")
    })
    .await;
    // We never get the third result, so the fourth request isn't sent.
    let urls = [origin.url("a"), origin.url("never"), origin.url("b")];
    let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
        .args(["get", "-c", "1", "--timeout", "10m"])
        .args([&urls[0], &urls[2], &urls[1], &urls[2]])
        .args(LOCAL)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    until(|| origin.seen() == 3).await;
    let id = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let status = spawn_blocking(move || (child.wait().unwrap(), child.stdout.take()));
    let (status, output) = within_timeout(status).await.unwrap();
    assert_eq!(status.code(), Some(130));
    let indices = BufReader::new(output.unwrap()).lines().map(|line| {
        let line: Value = serde_json::from_str(&line.unwrap()).unwrap();
        line["index"].as_u64().unwrap()
    });
    assert_eq!(indices.collect::<Vec<_>>(), [0, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_call_exits_with_3() {
    let output = fetchd(
        &[
            "get",
            "--server",
            "http://127.0.0.1:1",
            "http://example.com/",
        ],
        "",
    )
    .await;
    assert_eq!(output.status.code(), Some(3));
    assert!(output.stdout.is_empty());
    assert!(
        stderr(&output).contains("UNAVAILABLE"),
        "{}",
        stderr(&output)
    );

    let service = Process::serve(&["--max-batch-requests", "1"]);
    let two = [
        "get",
        "--server",
        &service.url,
        "http://127.0.0.1:1/",
        "http://127.0.0.1:1/",
    ];
    let refused = fetchd(&two, "").await;
    assert_eq!(refused.status.code(), Some(3));
    assert!(refused.stdout.is_empty());
    assert!(
        stderr(&refused).contains("expected at most 1"),
        "{}",
        stderr(&refused)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn get_exits_cleanly_if_its_output_is_closed() {
    let origin = uneven().await;
    let run = |unread: fn(&mut Command) -> &mut Command| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fetchd"));
        command.args(["get", &origin.url(1)]).args(LOCAL);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        unread(&mut command);
        let mut child = command.spawn().unwrap();
        (child.stdout.take(), child.stderr.take(), child)
    };
    // Close standard error before the summary is printed.
    let (output, error, child) = run(|command| command);
    drop(error);
    let status = spawn_blocking(move || {
        let lines = BufReader::new(output.unwrap()).lines().count();
        let mut child = child;
        (child.wait().unwrap(), lines)
    });
    let (status, lines) = within_timeout(status).await.unwrap();
    assert_eq!((status.code(), lines), (Some(0), 1));

    let (output, _error, mut child) = run(|command| command);
    drop(output);
    let status = within_timeout(spawn_blocking(move || child.wait().unwrap()))
        .await
        .unwrap();
    assert_eq!(status.code(), Some(141));
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_lost_with_a_killed_service_are_reported() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        reply("there")
    })
    .await;
    let service = Process::serve(&[]);
    let urls = [origin.url("a"), origin.url("never")];
    let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
        .args(["get", "--server", &service.url, &urls[0], &urls[1]])
        .args(["--give-up-after", "500ms"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    output.next().unwrap().unwrap();
    drop(service);
    let line: Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
    assert_eq!(line["error"]["reason"], "SERVICE_LOST");
    assert!(
        line["error"]["message"]
            .as_str()
            .unwrap()
            .contains("UNAVAILABLE"),
        "{line}"
    );
    assert_eq!(child.wait().unwrap().code(), Some(1));
}
