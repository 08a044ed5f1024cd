//! Collectors that are slow, fail or must prove who they are, and the end of the service.

use std::time::Duration;

use fetchd::proto::FetchBatchRequest;
use futures_util::future::join_all;

use super::{SOON, batch, dropped, fetch, fetch_one, serve, stop};
use crate::support::{
    Authority, Origin, Process,
    collector::{Behaviour, Collector, attributes, by_request},
    eventually, gated_origin,
    metrics::metrics,
    raw_client, reply, requests, within_timeout,
};

#[tokio::test]
async fn collector_with_tls_needs_a_known_root() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let folder = tempfile::tempdir().unwrap();
    for (trusted, is_known) in [(&authority, true), (&stranger, false)] {
        let collector = Collector::encrypted(authority.http2("localhost")).await;
        let roots = folder.path().join("roots.pem");
        std::fs::write(&roots, trusted.pem()).unwrap();
        let service = serve(&collector, &[("SSL_CERT_FILE", roots.to_str().unwrap())]);
        fetch_one(&service, "01").await;
        let (sent, lost) = if is_known { (2, 0.0) } else { (0, 2.0) };
        collector.wait_for(sent).await;
        eventually(async || dropped(&service).await == lost).await;
    }
}

#[tokio::test]
async fn spans_are_sent_before_the_process_ends() {
    let collector = Collector::new().await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let never = [("OTEL_BSP_SCHEDULE_DELAY", "3600000")];
    let service = serve(&collector, &never);
    let mut client = raw_client(&service.url).await;
    fetch(
        &mut client,
        batch(requests(vec![origin.url(""); 600])),
        "01",
    )
    .await;
    // There are more than in a message, and one message was full.
    collector.wait_for(512).await;
    stop(service).await;
    assert_eq!(collector.spans().len(), 601);
}

#[tokio::test]
async fn requests_that_a_drain_cuts_short_are_sent_too() {
    let collector = Collector::new().await;
    let (origin, _gate) = gated_origin().await;
    let arguments = ["--otlp-endpoint", &collector.url, "--drain-timeout", "0s"];
    let service = Process::serve_with(&arguments, &[("OTEL_BSP_SCHEDULE_DELAY", "3600000")]);
    let mut client = raw_client(&service.url).await;
    let fetching =
        tokio::spawn(
            async move { fetch(&mut client, batch(requests([origin.url("")])), "01").await },
        );
    eventually(async || metrics(&service.admin).await["fetchd_batches_active"] == 1.0).await;
    service.signal("TERM");
    within_timeout(fetching).await.unwrap();
    stop(service).await;
    let (_, requests) = by_request(collector.spans());
    assert_eq!(
        attributes(&requests[&0].attributes)["error.type"],
        "shutting_down"
    );
}

#[tokio::test]
async fn collector_that_fails_costs_spans_only() {
    let silent = Collector::that(Behaviour::Silent).await;
    let late = Collector::that(Behaviour::Late(Duration::from_secs(3600))).await;
    let refusing = Collector::that(Behaviour::Refuses).await;
    // Accepts connections, but doesn't speak.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let deaf = format!("http://{}", deaf.local_addr().unwrap());
    let origin = Origin::new(|_| async { reply("there") }).await;
    let collectors = [
        "http://127.0.0.1:1",
        &silent.url,
        &late.url,
        &refusing.url,
        &deaf,
    ];
    let check = async |collector| {
        let variables = [
            SOON,
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ];
        let service = Process::serve_with(&["--otlp-endpoint", collector], &variables);
        let mut client = raw_client(&service.url).await;
        let batch = batch(requests(vec![origin.url(""); 2000]));
        let ends = fetch(&mut client, batch, "01").await;
        assert_eq!(ends.len(), 2000);
        assert!(ends.iter().all(|end| end.error.is_none()));
        // Every span is counted exactly once.
        eventually(async || dropped(&service).await == 2001.0).await;
        // If there's no room for the call's span, there's none for its requests.
        let fill = FetchBatchRequest {
            requests: requests(vec![origin.url(""); 200]),
            concurrency: 1,
            ..Default::default()
        };
        let (mut one, mut other) = (client.clone(), client.clone());
        tokio::join!(
            fetch(&mut one, fill.clone(), "01"),
            fetch(&mut other, fill, "01")
        );
        eventually(async || dropped(&service).await == 2403.0).await;
        let log = stop(service).await;
        let warnings = log
            .iter()
            .filter(|line| line.contains("does not accept spans"));
        assert_eq!(warnings.count(), 1, "{collector}: {log:#?}");
    };
    join_all(collectors.map(check)).await;
    assert!(silent.spans().is_empty());
}

#[tokio::test]
async fn connection_that_is_dead_is_replaced() {
    let collector = Collector::that(Behaviour::DeafAtFirst).await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = serve(&collector, &[("OTEL_EXPORTER_OTLP_TIMEOUT", "200")]);
    let mut client = raw_client(&service.url).await;
    let batch = batch(requests([origin.url("")]));
    fetch(&mut client, batch.clone(), "01").await;
    eventually(async || dropped(&service).await == 2.0).await;
    fetch(&mut client, batch, "01").await;
    collector.wait_for(2).await;
    drop(client);
    let log = stop(service).await;
    let is_told = |line: &String| line.contains("the collector accepts spans again");
    assert!(log.iter().any(is_told), "{log:#?}");
}

#[tokio::test]
async fn slow_collector_gets_as_many_spans_as_fit() {
    let collector = Collector::that(Behaviour::Late(Duration::from_millis(300))).await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = serve(&collector, &[("OTEL_BSP_MAX_QUEUE_SIZE", "50")]);
    let mut client = raw_client(&service.url).await;
    let batch = batch(requests(vec![origin.url(""); 2000]));
    let ends = fetch(&mut client, batch, "01").await;
    assert!(ends.iter().all(|end| end.error.is_none()));
    // None is lost without being counted.
    eventually(async || collector.spans().len() as f64 + dropped(&service).await == 2001.0).await;
    assert!(collector.spans().len() >= 50);
    assert!(
        stop(service)
            .await
            .iter()
            .all(|line| !line.contains("WARN"))
    );
}

#[tokio::test]
async fn hung_collector_does_not_delay_the_end() {
    let collector = Collector::that(Behaviour::Silent).await;
    let service = serve(&collector, &[]);
    fetch_one(&service, "01").await;
    let started = std::time::Instant::now();
    let log = stop(service).await;
    // The collector would have 10 s otherwise.
    assert!(started.elapsed() < Duration::from_secs(5));
    let last = log
        .iter()
        .find(|line| line.contains("did not take the last spans"));
    assert!(last.unwrap().contains("\"spans\":2"), "{log:#?}");
}
