//! Uploads to origins that don't read them. No matter whether an upload finishes or
//! fails, it must not leave any connections or memory behind.

use std::time::Duration;

use bytes::Bytes;
use fetchd::{client::Client, proto::Reason};
use futures_util::{StreamExt, future::join_all, stream};

use crate::support::{
    Authority, Process, eventually,
    metrics::metrics,
    unreading::{EarlyAnswer, StalledOrigin},
    until, within_timeout,
};

/// Waits until there are no more fetches in flight, and no more connections to `origin`.
async fn at_rest(service: &Process, origin: &StalledOrigin) {
    eventually(async || metrics(&service.admin).await["fetchd_fetches_in_flight"] == 0.0).await;
    until(|| origin.open() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_that_end_early_leave_no_connection_and_no_memory() {
    const UPLOADS: usize = 40;

    let origin = StalledOrigin::new(EarlyAnswer::Never, 1 << 16).await;
    let service = Process::serve(&[]);
    let client = Client::connect(&service.url).await.unwrap();
    client.fetch_all(["not a url"]).await;
    let base = service.memory();
    let body = Bytes::from(vec![b'x'; 3_200_000]);
    let upload = |timeout| {
        let request = origin.upload("http", body.clone()).timeout(timeout);
        client.fetch([request]).all()
    };
    let late = join_all((0..UPLOADS / 2).map(|_| upload(Duration::from_millis(500))));
    // Once all of these uploads have begun, cancel them.
    let mut cancelled = join_all((0..UPLOADS / 2).map(|_| upload(Duration::from_secs(60))));
    tokio::select! {
        _ = &mut cancelled => panic!("an upload ended"),
        () = until(|| origin.opened() >= UPLOADS / 2) => {}
    }
    let late = tokio::spawn(late);
    tokio::select! {
        _ = &mut cancelled => panic!("an upload ended"),
        () = until(|| origin.opened() == UPLOADS) => {}
    }
    drop(cancelled);
    for outcome in within_timeout(late).await.unwrap() {
        let reason = outcome[0].as_ref().unwrap_err().reason();
        assert_eq!(reason, Some(Reason::Timeout));
    }
    at_rest(&service, &origin).await;
    let left = service.memory().saturating_sub(base);
    println!(
        "after {UPLOADS} uploads that ended early: {} MiB more",
        left >> 20
    );
    assert!(left < 32 << 20, "{left}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_with_unsent_uploads_count_until_they_close() {
    let origin = StalledOrigin::new(EarlyAnswer::Never, 4096).await;
    let service = Process::serve(&["--max-in-flight", "64"]);
    let client = Client::connect(&service.url).await.unwrap();
    let body = Bytes::from(vec![b'x'; 300_000]);
    let batches = (0..8).map(|_| {
        let request = origin.upload("http", body.clone());
        let request = request.timeout(Duration::from_millis(100));
        client.fetch(vec![request; 50]).concurrency(64).all()
    });
    let results = within_timeout(join_all(batches)).await;
    for result in results.iter().flatten() {
        assert_eq!(result.as_ref().unwrap_err().reason(), Some(Reason::Timeout));
    }
    at_rest(&service, &origin).await;
    let peak = origin.peak();
    println!("{} uploads, at most {peak} connections", origin.opened());
    assert_eq!(origin.opened(), 400);
    assert!(peak <= 2 * 64, "{peak}");
}

/// Makes `calls` calls with a body of 15 MB each. `origin` answers every one of them.
async fn early_answers(service: &Process, origin: &StalledOrigin, scheme: &str, calls: usize) {
    let client = Client::connect(&service.url).await.unwrap();
    client.fetch_all(["not a url"]).await;
    let base = service.memory();
    let body = Bytes::from(vec![b'x'; 15_000_000]);
    let mut calls = stream::iter(0..calls)
        .map(|_| client.fetch([origin.upload(scheme, body.clone())]).all())
        .buffer_unordered(4);
    while let Some(results) = within_timeout(calls.next()).await {
        assert_eq!(results[0].as_ref().unwrap().status(), 200);
    }
    at_rest(service, origin).await;
    let left = service.memory().saturating_sub(base);
    let peak = service.peak_memory();
    println!(
        "{} answers over {scheme} before the upload: {} MiB left, {} MiB at the peak",
        origin.opened(),
        left >> 20,
        peak >> 20
    );
    // We hold four bodies at once, and the allocator doesn't give back all of the freed
    // memory. If there were no limit, we'd see 15 MB per call.
    assert!(left < 160 << 20, "{left}");
    assert!(peak < 224 << 20, "{peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_ends_the_upload() {
    let origin = StalledOrigin::new(EarlyAnswer::Plain, 1 << 16).await;
    let service = Process::serve(&[]);
    early_answers(&service, &origin, "http", 60).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_early_answer_ends_the_upload_over_tls() {
    let authority = Authority::new();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), authority.pem()).unwrap();
    let acceptor = authority.acceptor("127.0.0.1");
    let origin = StalledOrigin::new(EarlyAnswer::Tls(acceptor), 1 << 16).await;
    let service = Process::serve(&["--ca-cert", file.path().to_str().unwrap()]);
    early_answers(&service, &origin, "https", 20).await;
}
