//! `fetchd get --server` if the service goes away.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::support::{
    Origin, Process, Service,
    command::{LOCAL, fetchd, finish, lines, spawn, stderr},
    reply, service, until,
};

/// Starts an origin that takes this long for every answer.
async fn slow(delay: Duration) -> Origin {
    Origin::new(move |request| async move {
        tokio::time::sleep(delay).await;
        reply(request.uri().path().to_owned())
    })
    .await
}

/// Fetches `count` URLs through a service and kills it after the first results. With
/// `restart`, the service comes back. Returns the exit code, the number of lines with a
/// response, and standard error.
async fn kill_during_list(count: usize, restart: bool) -> (Option<i32>, usize, String) {
    let origin = slow(Duration::from_millis(50)).await;
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("list");
    let urls: Vec<_> = (0..count).map(|index| origin.url(index)).collect();
    fs::write(&list, urls.join("\n")).unwrap();
    let killed = Process::serve(&[]);
    let address = killed.address().to_owned();
    let limit = if restart { "30s" } else { "1s" };
    let get = spawn(&[
        "get",
        "--server",
        &killed.url,
        "--give-up-after",
        limit,
        "-i",
        list.to_str().unwrap(),
    ]);
    until(|| origin.seen() >= 100).await;
    drop(killed);
    let died = Instant::now();
    let _again = restart.then(|| Process::serve_at(&address));
    let output = finish(get).await;
    if !restart {
        let waited = died.elapsed();
        assert!(waited < Duration::from_secs(6), "{waited:?}");
        assert!(stderr(&output).contains(&address));
    }
    let lines = lines(&output);
    assert_eq!(lines.len(), count);
    for (index, line) in lines.iter().enumerate() {
        assert_eq!(line["index"], index);
        let has_response = line["body"] == format!("/{index}");
        let is_lost = line["error"]["reason"] == "SERVICE_LOST";
        assert!(has_response != is_lost, "{line}");
    }
    let complete = lines.iter().filter(|line| line["status"] == 200).count();
    (output.status.code(), complete, stderr(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn list_ends_soon_after_its_only_service_is_killed() {
    for count in [400, 20_000] {
        let (code, complete, summary) = kill_during_list(count, false).await;
        assert_eq!(code, Some(1));
        assert!((50..count).contains(&complete), "{complete}");
        let lost = format!("SERVICE_LOST {}", count - complete);
        assert!(summary.contains(&lost), "{summary}");
        assert!(summary.contains("Connection refused"), "{summary}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn list_goes_on_if_its_service_comes_back() {
    let (code, complete, summary) = kill_during_list(400, true).await;
    assert_eq!((code, complete), (Some(0), 400), "{summary}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unreachable_service_is_named() {
    let arguments = ["get", "--server", "http://127.0.0.1:1", "http://a.example/"];
    let output = fetchd(&arguments, "").await;
    let error = stderr(&output);
    assert!(error.contains("127.0.0.1:1: "), "{error}");
    assert!(error.contains("Connection refused"), "{error}");

    let arguments = [
        "get",
        "--server",
        "http://nowhere.invalid:1",
        "http://a.example/",
    ];
    let output = fetchd(&arguments, "").await;
    assert!(stderr(&output).contains("nowhere.invalid"));
}

#[tokio::test(flavor = "multi_thread")]
async fn flags_of_the_service_are_refused_with_a_server() {
    let Service { url, .. } = &service().await;
    for flag in [
        LOCAL,
        ["--ca-cert", "README.md"],
        ["--proxy", "http://127.0.0.1:1"],
    ] {
        let arguments = [&["get", "--server", url, "http://a/"][..], &flag].concat();
        let output = fetchd(&arguments, "").await;
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    }
}
