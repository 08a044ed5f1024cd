//! A batch from the caller's point of view: every request gets a result, results arrive
//! either when they're ready or in the order of the requests, and concurrency is limited.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fetchd::{
    client::{Client, Error, Request},
    config::Limits,
    proto::{FetchBatchRequest, FetchRequest, Reason},
    server::{Peer, Server},
};
use futures_util::{StreamExt, future::join_all};
use prost::Message;
use rand::RngExt;
use tokio::sync::{Barrier, mpsc};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    Origin, allow_loopback, gated_origin, origin_gated_at, reply, requests, service, service_with,
    until, within_timeout,
};

/// Starts an origin that waits until `count` requests are in flight, and then a little
/// longer before it answers. If there were any more requests, they would overlap.
async fn answering_together(count: usize) -> Origin {
    let barrier = Arc::new(Barrier::new(count));
    Origin::new(move |_| {
        let barrier = Arc::clone(&barrier);
        async move {
            barrier.wait().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
            reply(vec![b'x'; 2000])
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn results_come_back_in_the_order_of_the_requests() {
    let origin = Origin::new(|request| async move {
        let delay = rand::rng().random_range(0..50);
        tokio::time::sleep(Duration::from_millis(delay)).await;
        let mut response = reply(request.uri().path().to_owned());
        let status = request.uri().query().unwrap_or("200");
        *response.status_mut() = status.parse().unwrap();
        response
    })
    .await;
    let service = service().await;
    let client = service.client().await;

    // Some of these have the same URL, some end with a 404 or a 500, and 50 of them fail.
    let urls: Vec<String> = (0..1000)
        .map(|index| match index {
            _ if index % 20 == 3 => "http://127.0.0.1:1/refused".to_owned(),
            _ if index % 20 == 5 => origin.url("the-same"),
            _ if index % 20 == 7 => origin.url(format!("{index}?404")),
            _ if index % 20 == 11 => origin.url(format!("{index}?500")),
            _ => origin.url(index),
        })
        .collect();
    let requests = urls.iter().map(|url| Request::get(url).max_attempts(1));
    let results = client.fetch_all(requests).await;

    assert_eq!(results.len(), 1000);
    let mut failed = 0;
    for (index, result) in results.into_iter().enumerate() {
        if index % 20 == 3 {
            assert_eq!(result.unwrap_err().reason(), Some(Reason::Connect));
            failed += 1;
            continue;
        }
        let response = result.unwrap();
        let status = match index % 20 {
            7 => 404,
            11 => 500,
            _ => 200,
        };
        assert_eq!(response.status(), status);
        let path = response.url().path().to_owned();
        let expected = if index % 20 == 5 {
            "/the-same".to_owned()
        } else {
            format!("/{index}")
        };
        assert_eq!(path, expected);
        assert_eq!(response.text().await.unwrap(), path);
    }
    assert_eq!(failed, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn fast_results_do_not_wait_for_a_slow_one() {
    let (origin, gate) = origin_gated_at(|path| path == "/0").await;
    let service = service().await;
    let client = service.client().await;
    let mut results = client
        .fetch((0..50).map(|index| origin.url(index)))
        .outcomes();
    for _ in 1..50 {
        let outcome = within_timeout(results.next()).await.unwrap();
        assert_ne!(outcome.index, 0);
        assert!(outcome.error.is_none());
    }
    gate.add_permits(1);
    assert_eq!(within_timeout(results.next()).await.unwrap().index, 0);
    assert!(within_timeout(results.next()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn in_order_yields_a_result_once_all_earlier_ones_have_arrived() {
    let (origin, gate) = origin_gated_at(|path| path == "/3").await;
    let service = service().await;
    let client = service.client().await;
    let mut results = client
        .fetch((0..6).map(|index| origin.url(index)))
        .in_order();
    for index in 0..3 {
        assert_eq!(within_timeout(results.next()).await.unwrap().index, index);
    }
    gate.add_permits(1);
    for index in 3..6 {
        assert_eq!(within_timeout(results.next()).await.unwrap().index, index);
    }
    assert!(within_timeout(results.next()).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_uses_its_concurrency_and_no_more() {
    let service = service().await;
    let client = service.client().await;
    for concurrency in [1, 7, 50] {
        let origin = answering_together(concurrency).await;
        let urls = (0..concurrency * 8).map(|_| origin.url(""));
        let fetch = client.fetch(urls).concurrency(concurrency as u32);
        let results = within_timeout(fetch.all()).await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(origin.seen(), concurrency * 8);
        assert_eq!(origin.peak(), concurrency);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_batches_together_use_max_in_flight_and_no_more() {
    let (origin, gate) = gated_origin().await;
    let mut config = allow_loopback();
    config.limits.max_in_flight = 20;
    config.limits.max_batches = Some(10);
    let service = service_with(config).await;
    let client = service.client().await;
    let batches = (0..10).map(|_| {
        let urls = (0..30).map(|_| origin.url(""));
        client.fetch(urls).concurrency(30).all()
    });
    let opening = async {
        until(|| origin.in_flight() == 20).await;
        gate.add_permits(300);
    };
    let (results, ()) = within_timeout(async { tokio::join!(join_all(batches), opening) }).await;
    assert!(results.iter().flatten().all(Result::is_ok));
    assert_eq!(origin.seen(), 300);
    assert_eq!(origin.peak(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn ready_results_share_a_message() {
    const COUNT: usize = 500;
    let origin = answering_together(COUNT).await;
    let service = service().await;
    let mut client = service.raw_client().await;
    let batch = FetchBatchRequest {
        requests: requests((0..COUNT).map(|_| origin.url(""))),
        concurrency: COUNT as u32,
        ..Default::default()
    };
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let (mut count, mut ends) = (0, 0);
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        count += 1;
        ends += message
            .parts
            .iter()
            .filter(|part| part.end.is_some())
            .count();
        assert!(message.encoded_len() <= 512 << 10);
    }
    assert_eq!(ends, COUNT);
    assert!(count < 250, "{count} messages");
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_stay_below_their_limit_for_large_bodies() {
    let origin = Origin::new(|_| async { reply(vec![b'x'; 300 << 10]) }).await;
    let service = service().await;
    let mut client = service.raw_client().await;
    let batch = FetchBatchRequest {
        requests: requests((0..100).map(|_| origin.url(""))),
        ..Default::default()
    };
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let mut bytes = HashMap::<u32, usize>::new();
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        assert!(message.encoded_len() <= 512 << 10);
        for part in message.parts {
            assert!(part.body.len() <= 64 << 10);
            *bytes.entry(part.index).or_default() += part.body.len();
        }
    }
    assert_eq!(bytes.len(), 100);
    assert!(bytes.values().all(|bytes| *bytes == 300 << 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_result_is_sent_without_delay() {
    let (answered, mut answers) = mpsc::unbounded_channel();
    let origin = Origin::new(move |_| {
        answered.send(Instant::now()).unwrap();
        async { reply("there") }
    })
    .await;
    let service = service().await;
    let mut client = service.raw_client().await;
    let mut delays = Vec::new();
    for _ in 0..200 {
        let batch = FetchBatchRequest {
            requests: requests([origin.url("")]),
            ..Default::default()
        };
        let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
        within_timeout(messages.message()).await.unwrap().unwrap();
        delays.push(answers.recv().await.unwrap().elapsed());
    }
    // If there were a timer, all of them would be delayed. A busy machine only delays
    // some.
    let shortest = delays.into_iter().min().unwrap();
    assert!(shortest < Duration::from_millis(2), "{shortest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_batch_ends_at_once() {
    let service = service().await;
    let mut client = service.raw_client().await;
    let batch = FetchBatchRequest::default();
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    assert_eq!(within_timeout(messages.message()).await.unwrap(), None);

    let results = service.client().await.fetch_all([] as [&str; 0]).await;
    assert!(results.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_too_many_requests_is_refused() {
    let service = service().await;
    let mut client = service.raw_client().await;
    let batch = FetchBatchRequest {
        requests: vec![FetchRequest::default(); 10_001],
        ..Default::default()
    };
    let status = client.fetch_batch(batch).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert!(status.message().contains("10000"), "{}", status.message());
    let violations = status.get_details_bad_request().unwrap().field_violations;
    assert_eq!(violations[0].field, "requests");

    // With the Rust client, each request gets the error.
    let config = fetchd::config::Config {
        limits: Limits {
            max_batch_requests: 2,
            ..Limits::default()
        },
        ..allow_loopback()
    };
    let small = service_with(config).await;
    let results = small.client().await.fetch_all(["http://a/"; 3]).await;
    assert_eq!(results.len(), 3);
    for result in results {
        let error = result.unwrap_err();
        assert!(
            matches!(
                error,
                Error::Call {
                    code: fetchd::Code::InvalidArgument,
                    ..
                }
            ),
            "{error}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_over_the_limit_is_refused() {
    let mut config = allow_loopback();
    config.limits.max_request_bytes = 10_000;
    let service = service_with(config).await;
    let mut client = service.raw_client().await;
    let mut batch = FetchBatchRequest {
        requests: requests(["http://127.0.0.1:1/"]),
        ..Default::default()
    };
    batch.requests[0].body = vec![0; 10_000].into();
    let status = client.fetch_batch(batch).await.unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
}

#[tokio::test]
async fn an_idle_call_sends_empty_messages() {
    let (origin, gate) = gated_origin().await;
    let service = service().await;
    let mut client = service.raw_client().await;
    let batch = FetchBatchRequest {
        requests: requests([origin.url("")]),
        ..Default::default()
    };
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    until(|| origin.in_flight() == 1).await;
    // From now on nothing happens without a timer, so the paused clock jumps from one to
    // the next.
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let message = messages.message().await.unwrap().unwrap();
    let waited = begun.elapsed();
    tokio::time::resume();
    assert!(message.parts.is_empty(), "{message:?}");
    assert!((9..=11).contains(&waited.as_secs()), "{waited:?}");
    gate.add_permits(1);
    let message = within_timeout(messages.message()).await.unwrap().unwrap();
    assert_eq!(&message.parts[0].body[..], b"there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_in_the_same_process_reconnects() {
    let mut config = allow_loopback();
    config.limits.max_connection_age = Duration::from_millis(100);
    let server = Server::new(config).unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let client = Client::over_connector(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        let (near, far) = tokio::io::duplex(1 << 16);
        tokio::spawn(server.clone().serve_connection(far, Peer::Local));
        Ok(near)
    });
    let origin = Origin::new(|_| async { reply("there") }).await;
    within_timeout(async {
        while connections.load(Ordering::Relaxed) < 3 {
            for result in client.fetch_all([origin.url("")]).await {
                result.unwrap();
            }
        }
    })
    .await;
}
