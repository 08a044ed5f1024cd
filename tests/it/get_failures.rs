//! `fetchd get --failures` and resuming from the file it writes.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    Origin, Process,
    command::{LOCAL, fetchd, finish, lines, signal, spawn, stderr},
    metered_origin, reply, until,
};

/// Writes a list with an id for each URL. There are also comments and URLs without one.
fn write_list(path: &Path, origin: &Origin, count: usize) {
    let mut text = "# a comment\n\n".to_owned();
    for id in 0..count {
        let line = json!({ "id": id, "url": origin.url(id), "headers": { "x": "y" } });
        text.push_str(&format!("  {line}\n"));
    }
    fs::write(path, text).unwrap();
}

/// Returns the lines with a complete response by id. Panics if there are two for one.
fn complete<'a>(lines: impl IntoIterator<Item = &'a Value>) -> BTreeMap<u64, Value> {
    let mut complete = BTreeMap::new();
    for line in lines {
        if line.get("error").is_none() {
            let earlier = complete.insert(line["id"].as_u64().unwrap(), line.clone());
            assert!(earlier.is_none(), "{line}");
        }
    }
    complete
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_can_be_tried_again_until_all_have_a_response() {
    let is_broken = Arc::new(AtomicBool::new(true));
    let broken = Arc::clone(&is_broken);
    let origin = Origin::new(move |request| {
        let broken = broken.load(Ordering::SeqCst);
        async move {
            let path = request.uri().path().to_owned();
            let number: u64 = path[1..].parse().unwrap();
            let mut reply = reply(path);
            if broken && number.is_multiple_of(3) {
                *reply.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            }
            reply
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let (list, failures) = (directory.path().join("list"), directory.path().join("f"));
    write_list(&list, &origin, 300);
    let failures = failures.to_str().unwrap();
    let flags = [&["--fail", "--failures", failures][..], &LOCAL].concat();

    let first = fetchd(
        &[&["get", "-i", list.to_str().unwrap()], &flags[..]].concat(),
        "",
    )
    .await;
    assert_eq!(first.status.code(), Some(1));
    let summary = stderr(&first);
    assert!(summary.contains("2xx 200, 5xx 100"), "{summary}");
    assert!(summary.contains("100 lines to try again"), "{summary}");
    let written = fs::read_to_string(failures).unwrap();
    assert_eq!(written.lines().count(), 100);
    // The lines are as they were.
    let all = fs::read_to_string(&list).unwrap();
    assert!(
        written
            .lines()
            .all(|line| all.lines().any(|other| other == line))
    );

    is_broken.store(false, Ordering::SeqCst);
    // The file may be input and output at once.
    let second = fetchd(&[&["get", "-i", failures], &flags[..]].concat(), "").await;
    assert_eq!(second.status.code(), Some(0));
    assert_eq!(fs::read(failures).unwrap(), b"");
    let first = lines(&first)
        .into_iter()
        .filter(|line| line["status"] == 200);
    let both: Vec<_> = first.chain(lines(&second)).collect();
    assert!(complete(&both).keys().copied().eq(0..300));
    // Only the list and the failures are there, no temporary files.
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn interrupted_list_can_be_resumed() {
    let (origin, gate) = metered_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let (list, failures) = (directory.path().join("list"), directory.path().join("f"));
    // Many more than we read ahead.
    const COUNT: usize = 5_000;
    write_list(&list, &origin, COUNT);
    let failures = failures.to_str().unwrap();
    let flags = [&["--failures", failures][..], &LOCAL].concat();

    let get = spawn(
        &[
            &["get", "-c", "20", "-i", list.to_str().unwrap()],
            &flags[..],
        ]
        .concat(),
    );
    // Few enough results to fit into the pipe, which we only read afterwards.
    gate.add_permits(100);
    until(|| gate.available_permits() == 0).await;
    signal(get.id(), "INT");
    let first = finish(get).await;
    assert_eq!(first.status.code(), Some(130));
    let left = fs::read_to_string(failures).unwrap().lines().count();
    let printed = lines(&first).len();
    assert_eq!(printed + left, COUNT);
    assert!(printed > 0);
    let remain = format!("{left} requests remain");
    assert!(stderr(&first).contains(&remain), "{}", stderr(&first));

    gate.add_permits(COUNT * 2);
    let second = fetchd(&[&["get", "-i", failures], &flags[..]].concat(), "").await;
    assert_eq!(second.status.code(), Some(0));
    let (first, second) = (lines(&first), lines(&second));
    assert_eq!(first.len() + second.len(), COUNT);
    assert!(
        complete(first.iter().chain(&second))
            .keys()
            .copied()
            .eq(0..COUNT as u64)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn terminated_list_leaves_its_failures() {
    let (origin, gate) = metered_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let failures = directory.path().join("f");
    let urls = [origin.url(1), origin.url(2)];
    let flags = ["-c", "1", "--failures", failures.to_str().unwrap()];
    let get = spawn(&[&["get", &urls[0], &urls[1]][..], &flags, &LOCAL].concat());
    gate.add_permits(1);
    until(|| origin.seen() == 2).await;
    signal(get.id(), "TERM");
    assert_eq!(finish(get).await.status.code(), Some(143));
    assert_eq!(
        fs::read_to_string(&failures).unwrap(),
        urls[1].clone() + "\n"
    );
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_call_leaves_the_whole_list() {
    let directory = tempfile::tempdir().unwrap();
    let failures = directory.path().join("f");
    fs::write(&failures, "old\n").unwrap();
    let input = "\u{feff}http://a.example/\r\n# no\nnonsense\n";
    let arguments = [
        "get",
        "--server",
        "http://127.0.0.1:1",
        "# a",
        "-i",
        "-",
        "--failures",
        failures.to_str().unwrap(),
    ];
    let output = fetchd(&arguments, input).await;
    assert_eq!(output.status.code(), Some(3));
    let written = fs::read_to_string(&failures).unwrap();
    assert_eq!(
        written,
        "{\"url\":\"# a\"}\nhttp://a.example/\r\nnonsense\n"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn request_whose_result_nobody_reads_is_a_failure() {
    let (origin, gate) = metered_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let failures = directory.path().join("f");
    let (first, second) = (origin.url(1), origin.url(2));
    let flags = ["--failures", failures.to_str().unwrap(), "-q"];
    let mut get = spawn(&[&["get", &first, &second][..], &flags, &LOCAL].concat());
    until(|| origin.seen() == 2).await;
    drop(get.stdout.take());
    gate.add_permits(2);
    assert_eq!(finish(get).await.status.code(), Some(141));
    let written = fs::read_to_string(&failures).unwrap();
    assert_eq!(written, format!("{first}\n{second}\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_requests_are_failures() {
    let (origin, gate) = metered_origin().await;
    let directory = tempfile::tempdir().unwrap();
    let failures = directory.path().join("f");
    let service = Process::serve(&[]);
    let lines = [origin.url(1), origin.url(2)];
    let get = spawn(&[
        "get",
        "--server",
        &service.url,
        "--give-up-after",
        "200ms",
        "--failures",
        failures.to_str().unwrap(),
        &lines[0],
        &lines[1],
    ]);
    gate.add_permits(1);
    until(|| origin.seen() == 2 && gate.available_permits() == 0).await;
    drop(service);
    finish(get).await;
    let written = fs::read_to_string(&failures).unwrap();
    // The service may have died before the first result arrived.
    assert!(!written.is_empty() && written.lines().all(|line| lines.contains(&line.to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn file_of_failures_that_cannot_be_written_is_an_error_at_the_start() {
    for path in ["/does/not/exist", "/"] {
        let output = fetchd(&["get", "--failures", path, "http://127.0.0.1:1/"], "").await;
        assert_eq!(output.status.code(), Some(2), "{path}");
        let error = stderr(&output);
        assert!(
            error.contains("--failures") && error.contains(path),
            "{error}"
        );
    }
    // A device stays what it is.
    let arguments = [
        &["get", "--failures", "/dev/null", "http://127.0.0.1:1/"][..],
        &LOCAL,
    ];
    assert_eq!(fetchd(&arguments.concat(), "").await.status.code(), Some(1));
    assert!(!Path::new("/dev/null").is_file());
}
