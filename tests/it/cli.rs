//! The command line, used the way people do.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::support::{Origin, Process, origin_gated_at, reply, until, within_timeout};

const LOCAL: [&str; 2] = ["--allow-net", "127.0.0.0/8"];

/// Runs `fetchd` until it exits. `input` is its standard input.
async fn fetchd(arguments: &[&str], input: impl Into<Vec<u8>>) -> Output {
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

fn lines(output: &Output) -> Vec<Value> {
    let text = std::str::from_utf8(&output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Starts an origin that sends back the path. How long that takes depends on the path.
async fn uneven() -> Origin {
    Origin::new(|request| async move {
        let path = request.uri().path().to_owned();
        let delay = path.bytes().map(u64::from).sum::<u64>() * 7 % 20;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        reply(path)
    })
    .await
}

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
        summary.contains("2xx 999, INVALID_REQUEST 1; slowest "),
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
async fn get_writes_bodies_to_the_output_or_to_files() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/binary" => reply(vec![0xff, 0, 1]),
            _ => reply("text"),
        }
    })
    .await;
    let (text, binary) = (origin.url("text"), origin.url("binary"));
    let output = fetchd(&[&["get", &text, &binary], &LOCAL[..]].concat(), "").await;
    assert_eq!(output.status.code(), Some(0));
    let printed = lines(&output);
    assert_eq!(
        (&printed[0]["body"], printed[0].get("body_base64")),
        (&json!("text"), None)
    );
    assert_eq!(
        (printed[1].get("body"), &printed[1]["body_base64"]),
        (None, &json!("/wAB"))
    );

    let directory = tempfile::tempdir().unwrap();
    let bodies = directory.path().join("made/anew");
    let save = ["get", &text, &binary, "-o", bodies.to_str().unwrap()];
    let output = fetchd(&[&save, &LOCAL[..]].concat(), "").await;
    let saved = lines(&output);
    assert_eq!(
        std::fs::read(saved[1]["file"].as_str().unwrap()).unwrap(),
        [0xff, 0, 1]
    );
    assert_eq!(std::fs::read(bodies.join("0")).unwrap(), b"text");
    assert!(saved.iter().all(|line| line.get("body").is_none()));

    let output = fetchd(&[&["get", &text, "--no-body"], &LOCAL[..]].concat(), "").await;
    assert_eq!(lines(&output)[0].get("body"), None);
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
async fn wrong_usage_exits_with_2_and_names_the_accepted_values() {
    for (arguments, words) in [
        (
            &["serve", "--listen", "nowhere"][..],
            &["--listen", "127.0.0.1:50051", "\"nowhere\""][..],
        ),
        (
            &["serve", "--max-in-flight", "1000001"],
            &["--max-in-flight", "1000001", "2 to 1000000"],
        ),
        (
            &["serve", "--max-timeout", "5"],
            &["--max-timeout", "\"5\"", "30s"],
        ),
        (
            &["serve", "--max-body-bytes", "much"],
            &["--max-body-bytes", "\"much\"", "64KiB"],
        ),
        (
            &["serve", "--allow-net", "10.0.0.0/99"],
            &["--allow-net", "10.0.0.0/99", "10.0.0.0/8"],
        ),
        (
            &["serve", "--deny-net", "::ffff:10.0.0.0/104"],
            &["--deny-net", "::ffff:10.0.0.0/104", "10.0.0.0/8"],
        ),
        (
            &["serve", "--allow-host", "a.example,http://b.example"],
            &["--allow-host", "\"http://b.example\"", "*.example.com"],
        ),
        (
            &["serve", "--deny-host", "a*.example"],
            &["--deny-host", "\"a*.example\"", "*.example.com"],
        ),
        (
            &["serve", "--allow-port", "80,0"],
            &["--allow-port", "\"0\"", "80,443"],
        ),
        (
            &["serve", "--ca-cert", "/nowhere.pem"],
            &["--ca-cert", "/nowhere.pem", "PEM"],
        ),
        (
            &["serve", "--ca-cert", "README.md"],
            &["--ca-cert", "README.md", "PEM"],
        ),
        (
            &["serve", "--proxy", "https://proxy.example"],
            &[
                "--proxy",
                "https://proxy.example",
                "http://proxy.example:3128",
            ],
        ),
        (
            &["serve", "--log-format", "xml"],
            &["--log-format", "xml", "text", "json"],
        ),
        (
            &["serve", "--default-concurrency", "600"],
            &["--default-concurrency", "600", "512"],
        ),
        (
            &["serve", "--worker-threads", "0"],
            &["--worker-threads", "\"0\"", "1 to 1024"],
        ),
        (
            &["get", "-c", "0", "http://a/"],
            &["--concurrency", "\"0\"", "1 to 1000000"],
        ),
        (
            &["get", "--timeout", "soon", "http://a/"],
            &["--timeout", "soon"],
        ),
        (
            &["get", "-H", "no colon", "http://a/"],
            &["--header", "no colon"],
        ),
        (&["get"], &["-i"]),
    ] {
        let output = fetchd(arguments, "").await;
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(
            words.iter().all(|word| error.contains(word)),
            "{words:?}: {error}"
        );
    }
    for arguments in [
        &["serve", "--tls-cert", "file"][..],
        &[
            "get",
            "--server",
            "http://a",
            "--allow-net",
            "10.0.0.0/8",
            "http://a/",
        ],
        &["get", "-i", "/does/not/exist"],
        &["nonsense"],
    ] {
        let output = fetchd(arguments, "").await;
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            stderr(&output)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn serve_takes_its_settings_from_the_environment() {
    let run = spawn_blocking(|| {
        Command::new(env!("CARGO_BIN_EXE_fetchd"))
            .args(["serve"])
            .env("FETCHD_MAX_IN_FLIGHT", "none")
            .output()
            .unwrap()
    });
    let output = within_timeout(run).await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output)
            .contains("--max-in-flight: expected a whole number of at most 1000000, got \"none\""),
        "{}",
        stderr(&output)
    );

    // An empty variable is the same as none at all. If a variable isn't known, there's a
    // warning in the log.
    let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
        .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
        .args(["--admin-listen", "off"])
        .env("FETCHD_ALLOW_NET", "")
        .env("FETCHD_MAX_INFLIGHT", "7")
        .env("FETCHD_SERVICE_HOST", "10.0.0.1")
        .env("FETCHD_PORT", "tcp://10.0.0.1:50051")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let before: Vec<_> = log.take_while(|line| !line.contains("serving")).collect();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(before.len(), 1, "{before:?}");
    assert!(before[0].contains("FETCHD_MAX_INFLIGHT"), "{before:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn health_reports_the_state_of_a_service() {
    let service = Process::serve(&[]);
    let healthy = fetchd(&["health", "--server", &service.url], "").await;
    assert_eq!(healthy.status.code(), Some(0), "{}", stderr(&healthy));
    let gone = fetchd(&["health", "--server", "http://127.0.0.1:1"], "").await;
    assert_ne!(gone.status.code(), Some(0));
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
