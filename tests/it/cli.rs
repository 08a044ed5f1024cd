//! The command line, used the way people do. `fetchd get` has tests of its own.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use tokio::task::spawn_blocking;

use crate::support::{
    Process,
    command::{fetchd, stderr},
    within_timeout,
};

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
            &["get", "--max-attempts", "99", "http://a/"],
            &["--max-attempts", "\"99\"", "1 to 10"],
        ),
        (
            &["get", "--max-redirects", "21", "http://a/"],
            &["--max-redirects", "\"21\"", "0 to 20"],
        ),
        (
            &["get", "--max-body", "much", "http://a/"],
            &["--max-body", "\"much\"", "10MiB"],
        ),
        (
            &["get", "-d", "@/does/not/exist", "http://a/"],
            &["--data", "/does/not/exist"],
        ),
        (
            &["get", "-d", "@-", "-i", "-"],
            &["--input", "--data", "standard input"],
        ),
        (&["get", "-i", "src"], &["--input", "src", "directory"]),
        (
            &["get", "--ca-cert", "README.md", "http://a/"],
            &["--ca-cert", "PEM"],
        ),
        (
            &["get", "--proxy", "socks5://a:1", "http://a/"],
            &["--proxy", "http://proxy.example:3128"],
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
            .contains("--max-in-flight: expected a whole number from 2 to 1000000, got \"none\""),
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
async fn completions_and_manual_pages_know_the_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let output = fetchd(&["completions", shell], "").await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(
            text.contains("give-up-after") && text.contains("max-in-flight"),
            "{shell}"
        );
    }
    for (arguments, part) in [
        (&["man"][..], "fetchd\\-get(1)"),
        (&["man", "get"], "\\-\\-give\\-up\\-after"),
        (&["man", "serve"], "FETCHD_MAX_IN_FLIGHT"),
    ] {
        let output = fetchd(arguments, "").await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.starts_with(".ie") && text.contains(part),
            "{arguments:?}: {text}"
        );
    }
    for arguments in [["completions", "tcsh"], ["man", "nonsense"]] {
        let output = fetchd(&arguments, "").await;
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("expected"), "{}", stderr(&output));
    }
}
