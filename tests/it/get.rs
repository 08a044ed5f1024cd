//! `fetchd get`: its input and its order.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::support::{
    Origin, Process,
    command::{LOCAL, fetchd, lines, stderr, uneven},
    origin_gated_at, reply, within_timeout,
};

#[tokio::test(flavor = "multi_thread")]
async fn get_prints_a_thousand_lines_in_the_order_of_the_input() {
    let origin = uneven().await;
    let mut urls: Vec<_> = (0..1000).map(|index| origin.url(index)).collect();
    urls[500] = "not a url".to_owned();
    let input = format!("# a comment\n\n{}\n", urls.join("\n"));
    let output = fetchd(&[&["get", "-i", "-"], &LOCAL[..]].concat(), input).await;

    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    assert_eq!(lines.len(), 1000);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], index);
        assert_eq!(line["url"], urls[index]);
        if index == 500 {
            assert_eq!(line["error"]["reason"], "INVALID_REQUEST");
            assert_eq!(line["attempts"], 0);
            assert_eq!(line.get("status"), None);
        } else {
            assert_eq!(line["status"], 200);
            assert_eq!(line["body"], format!("/{index}"));
            assert_eq!(
                line["headers"]["content-length"],
                format!("/{index}").len().to_string()
            );
        }
    }
    let summary = stderr(&output);
    assert!(summary.starts_with("1000 requests in "), "{summary}");
    assert!(
        summary.contains("2xx 999, INVALID_REQUEST 1; p50 "),
        "{summary}"
    );
    assert_eq!(summary.lines().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_takes_urls_files_and_json_lines() {
    let origin = Origin::new(|request| async move {
        use http_body_util::BodyExt;
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let values: Vec<_> = head
            .headers
            .get_all("x")
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect();
        reply(format!("{} {} {values:?} {body:?}", head.method, head.uri))
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    let objects = [
        json!({ "url": origin.url(1) }),
        json!({ "url": origin.url(2), "method": "PUT", "headers": { "X": "y" }, "body": "data" }),
        json!({ "url": origin.url(3), "headers": { "x": ["1", "2"] } }),
    ];
    let text: String = objects
        .iter()
        .map(|object| format!("{object}\r\n"))
        .collect();
    std::fs::write(&list, text + "{\"uri\": 1}\n\u{20}  \n").unwrap();
    let first = origin.url(0);
    let get = [
        "get",
        &first,
        "-i",
        list.to_str().unwrap(),
        "-H",
        "X: all",
        "-d",
        "usual",
        "-X",
        "PATCH",
    ];
    let output = fetchd(&[&get, &LOCAL[..]].concat(), "").await;

    assert_eq!(output.status.code(), Some(1));
    let lines = lines(&output);
    let bodies: Vec<_> = lines.iter().map(|line| line["body"].as_str()).collect();
    assert_eq!(
        bodies,
        [
            Some(r#"PATCH /0 ["all"] b"usual""#),
            Some(r#"PATCH /1 ["all"] b"usual""#),
            Some(r#"PUT /2 ["y"] b"data""#),
            Some(r#"PATCH /3 ["1", "2"] b"usual""#),
            None,
        ]
    );
    let message = lines[4]["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("line 4") && message.contains("uri"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn get_calls_a_service_that_then_shuts_down_cleanly() {
    let origin = uneven().await;
    let urls: Vec<_> = (0..20).map(|index| origin.url(index)).collect();
    let service = Process::serve(&[]);
    let input = urls.join("\n");
    let output = fetchd(&["get", "--server", &service.url, "-i", "-"], input).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let bodies = lines(&output).into_iter().map(|line| line["body"].clone());
    assert!(bodies.eq((0..20).map(|index| json!(format!("/{index}")))));

    let started = Instant::now();
    service.signal("TERM");
    let status = within_timeout(spawn_blocking(move || service.wait()))
        .await
        .unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn get_sends_requests_before_its_input_ends() {
    let origin = uneven().await;
    let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
        .args(["get", "-q", "-i", "-"])
        .args(LOCAL)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    // Every result has to be printed before we write the next URL.
    for index in 0..3 {
        writeln!(input, "{}", origin.url(index)).unwrap();
        let line: Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
        assert_eq!(
            (&line["index"], &line["body"]),
            (&json!(index), &json!(format!("/{index}")))
        );
    }
    drop(input);
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn get_unordered_prints_results_as_they_arrive() {
    let (origin, gate) = origin_gated_at(|path| path == "/slow").await;
    let (slow, fast) = (origin.url("slow"), origin.url("fast"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
        .args(["get", "--unordered", "-q", &slow, &fast])
        .args(LOCAL)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap()).lines();
    let first: Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
    assert_eq!(first["index"], 1);
    gate.add_permits(1);
    let second: Value = serde_json::from_str(&output.next().unwrap().unwrap()).unwrap();
    assert_eq!(second["index"], 0);
    assert!(child.wait().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn get_names_the_flag_that_allows_a_denied_address() {
    let output = fetchd(&["get", "http://127.0.0.1:1/", "http://10.0.0.1/"], "").await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        lines(&output)
            .iter()
            .all(|line| line["error"]["reason"] == "BLOCKED")
    );
    let summary = stderr(&output);
    assert!(
        summary.contains("--allow-net 10.0.0.1/32,127.0.0.1/32 would allow"),
        "{summary}"
    );
    let quiet = fetchd(&["get", "-q", "http://127.0.0.1:1/"], "").await;
    assert_eq!(stderr(&quiet), "");
}
