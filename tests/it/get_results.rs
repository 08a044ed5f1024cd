//! The fields of a printed result.

use std::{fs, time::Duration};

use http::StatusCode;
use serde_json::{Value, json};

use crate::support::{
    Origin,
    command::{LOCAL, fetchd, lines, stderr},
    reply,
};

/// Starts an origin that redirects `/from` and echoes everything else.
async fn echo() -> Origin {
    Origin::new(|request| async move {
        use http_body_util::BodyExt;
        let (head, body) = request.into_parts();
        if head.uri.path() == "/from" {
            let mut reply = reply("");
            *reply.status_mut() = StatusCode::FOUND;
            reply
                .headers_mut()
                .insert("location", "/to?key".parse().unwrap());
            return reply;
        }
        let body = body.collect().await.unwrap().to_bytes();
        let header = |name: &str| {
            let values = head.headers.get_all(name).iter();
            values
                .map(|value| value.to_str().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        reply(
            json!({
                "method": head.method.as_str(),
                "content-type": header("content-type"),
                "x": header("x"),
                "authorization": header("authorization"),
                "body": String::from_utf8_lossy(&body),
            })
            .to_string(),
        )
    })
    .await
}

async fn get(arguments: &[&str], input: &str) -> Vec<Value> {
    let output = fetchd(&[&["get"], arguments, &LOCAL].concat(), input).await;
    lines(&output)
}

/// Returns what the origin saw of a request.
fn seen(line: &Value) -> Value {
    serde_json::from_str(line["body"].as_str().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn result_has_all_fields() {
    let origin = echo().await;
    let lines = get(&[&origin.url("from#part"), "http://127.0.0.1:1/"], "").await;
    let keys = |line: &Value| {
        let object = line.as_object().unwrap();
        object.keys().cloned().collect::<Vec<_>>()
    };
    let line = &lines[0];
    assert_eq!(line["final_url"], origin.url("to?key"));
    assert_eq!(line["redirects"], 1);
    assert_eq!(line["http_version"], "HTTP/1.1");
    assert_eq!(line["body_bytes"], line["body"].as_str().unwrap().len());
    assert_eq!(
        (&line["truncated"], &line["attempts"]),
        (&json!(false), &json!(1))
    );
    let timing = &line["timing"];
    assert!(timing["total"].as_f64() >= timing["first_byte"].as_f64());
    assert!(timing["queued"].is_f64() && timing["connection_reused"].is_boolean());
    assert_eq!(line.get("error"), None);

    let error = &lines[1];
    assert_eq!(error["error"]["reason"], "CONNECT");
    assert_eq!(error["error"]["retryable"], true);
    assert_eq!(
        (&error["body_bytes"], &error["attempts"]),
        (&json!(0), &json!(3))
    );
    for key in [
        "status",
        "headers",
        "body",
        "final_url",
        "http_version",
        "id",
    ] {
        assert!(!keys(error).contains(&key.to_owned()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn final_url_is_left_out_if_it_is_the_same() {
    let origin = echo().await;
    let url = format!("HTTP://user:pw@{}#part", origin.address);
    let line = &get(&[&url], "").await[0];
    assert_eq!(line.get("final_url"), None, "{line}");
    // The credentials are used, but not repeated.
    assert_eq!(seen(line)["authorization"], json!(["Basic dXNlcjpwdw=="]));
    assert_eq!(line["url"], format!("http://{}/#part", origin.address));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_never_repeated() {
    let input = "http://user:secret@127.0.0.1:1/\nhttp://user:secret@[/\nuser:secret@a\n\
                 {\"url\": \"http://user:secret@127.0.0.1:x/\"}\n\
                 {\"url\": \"http://user:secret@a/\", \"id\": []}\n\
                 {\"url\": \"http://a/\", \"headers\": \"secret\"}\n";
    let output = fetchd(&[&["get", "-i", "-"][..], &LOCAL].concat(), input).await;
    let (text, summary) = (String::from_utf8_lossy(&output.stdout), stderr(&output));
    assert_eq!(text.lines().count(), 6);
    assert!(
        !text.contains("secret") && !summary.contains("secret"),
        "{text}{summary}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_are_passed_through_and_output_is_accepted_as_input() {
    let origin = echo().await;
    let input = format!(
        "\u{feff}{{\"id\": \"a\", \"url\": \"{0}\"}}\n{{\"id\": 12345678901234567890123, \"url\": \"{0}\"}}\n",
        origin.url("to")
    );
    let output = fetchd(&[&["get", "-i", "-"][..], &LOCAL].concat(), input).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("\"id\":\"a\",") && text.contains("\"id\":12345678901234567890123,"));

    // The headers and the body of a response aren't those of a request.
    let again = get(&["-i", "-", "-H", "x: y"], &text).await;
    assert_eq!(again.len(), 2);
    for line in &again {
        assert_eq!(
            seen(line),
            json!({ "method": "GET", "content-type": [], "x": ["y"], "authorization": [], "body": "" })
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_is_sent_as_curl_does() {
    let origin = echo().await;
    let url = &origin.url("");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("data");
    fs::write(&path, "a\nb\r\n").unwrap();
    let file = format!("@{}", path.display());
    let form = "application/x-www-form-urlencoded";
    let json = r#"{"a": 1}"#;
    for (arguments, input, body, content_type) in [
        (&["-d", "a=b"][..], "", "a=b", form),
        (&["-d", &file], "", "a\nb\r\n", form),
        (&["-d", "@-"], "from\nstdin", "from\nstdin", form),
        (
            &["-d", json, "-H", "Content-Type: application/json"],
            "",
            json,
            "application/json",
        ),
    ] {
        let line = &get(&[&[url.as_str()], arguments].concat(), input).await[0];
        let seen = seen(line);
        assert_eq!(
            (&seen["method"], &seen["body"]),
            (&json!("POST"), &json!(body))
        );
        assert_eq!(seen["content-type"], json!([content_type]));
    }
    // A line may say what the data is.
    let object = json!({ "url": url, "headers": { "content-type": "text/plain" } }).to_string();
    let line = &get(&["-i", "-", "-d", "a"], &object).await[0];
    assert_eq!(seen(line)["content-type"], json!(["text/plain"]));
    // The body of a line isn't a form.
    let object = json!({ "url": url, "body": "b", "method": "PUT" }).to_string();
    let line = &get(&["-i", "-", "-d", "a"], &object).await[0];
    assert_eq!(
        (&seen(line)["body"], &seen(line)["content-type"]),
        (&json!("b"), &json!([]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn header_lines_come_from_files_too() {
    let origin = echo().await;
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("headers");
    fs::write(&path, "# a comment\n\nX: 1\r\nAuthorization: Bearer t\n").unwrap();
    let file = path.to_str().unwrap();
    let line = &get(&[&origin.url(""), "--header-file", file, "-H", "x: 0"], "").await[0];
    assert_eq!(seen(line)["x"], json!(["0", "1"]));
    assert_eq!(seen(line)["authorization"], json!(["Bearer t"]));

    fs::write(&path, "x: 1\nsecret\n").unwrap();
    let output = fetchd(&["get", "http://a/", "--header-file", file], "").await;
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        error.contains("line 2") && !error.contains("secret"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn options_of_requests_are_applied() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/large" => reply(vec![b'x'; 2000]),
            "/silent" => std::future::pending().await,
            path => {
                let mut reply = reply("");
                let next = format!("{path}x");
                *reply.status_mut() = StatusCode::FOUND;
                reply
                    .headers_mut()
                    .insert("location", next.parse().unwrap());
                reply
            }
        }
    })
    .await;
    let (large, silent, moved) = (
        &origin.url("large"),
        &origin.url("silent"),
        &origin.url("m"),
    );
    let line = &get(&[large, "--max-body", "1KiB"], "").await[0];
    assert_eq!(line["error"]["reason"], "BODY_TOO_LARGE");
    let line = &get(&[large, "--max-body", "1KiB", "--truncate"], "").await[0];
    assert_eq!(
        (&line["truncated"], &line["body_bytes"]),
        (&json!(true), &json!(1024))
    );

    let line = &get(&[moved, "--max-redirects", "2"], "").await[0];
    assert_eq!(line["error"]["reason"], "TOO_MANY_REDIRECTS");
    let line = &get(&[moved, "--max-redirects", "0"], "").await[0];
    assert_eq!(line["status"], 302);

    let line = &get(
        &[silent, "--idle-timeout", "50ms", "--max-attempts", "2"],
        "",
    )
    .await[0];
    assert_eq!(line["error"]["reason"], "TIMEOUT");
    assert_eq!(line["attempts"], 2);

    // A listener whose backlog is full doesn't answer.
    let full = crate::support::short_backlog();
    let address = full.local_addr().unwrap();
    let _fill = crate::support::fill_backlog(&full).await;
    let begun = std::time::Instant::now();
    let url = format!("http://{address}/");
    let line = &get(
        &[&url, "--connect-timeout", "50ms", "--max-attempts", "1"],
        "",
    )
    .await[0];
    assert_eq!(line["error"]["reason"], "CONNECT");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn fail_counts_error_statuses() {
    let origin = Origin::new(|request| async move {
        let mut reply = reply("");
        *reply.status_mut() = request.uri().path()[1..].parse().unwrap();
        reply
    })
    .await;
    for (status, code) in [(200, 0), (399, 0), (400, 1), (503, 1)] {
        let arguments = ["get", &origin.url(status), "--fail", "--max-attempts", "1"];
        let output = fetchd(&[&arguments[..], &LOCAL].concat(), "").await;
        assert_eq!(output.status.code(), Some(code), "{status}");
        let output = fetchd(&[&arguments[..2], &LOCAL].concat(), "").await;
        assert_eq!(output.status.code(), Some(0), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn summary_has_percentiles_and_the_slowest_url() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        reply("")
    })
    .await;
    let slow = origin.url("slow?key=secret");
    let output = fetchd(&[&["get", &origin.url(""), &slow][..], &LOCAL].concat(), "").await;
    let summary = stderr(&output);
    for part in [
        "2 requests in ",
        "2xx 2",
        "; p50 0.",
        ", p90 0.1",
        ", p99 0.1",
        "slowest 0.1",
    ] {
        assert!(summary.contains(part), "{part}: {summary}");
    }
    let shown = format!("({})", origin.url("slow"));
    assert!(
        summary.contains(&shown) && !summary.contains("secret"),
        "{summary}"
    );
}
