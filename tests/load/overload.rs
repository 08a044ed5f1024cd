//! An overloaded service: limits, fairness, admission, memory, and callers that don't
//! read.

use std::{net::IpAddr, time::Duration};

use fetchd::{
    client::{Client, Request},
    config::Config,
    proto::{FetchBatchRequest, FetchBatchResponse},
};
use futures_util::{StreamExt, future::join_all};
use tonic::{Code, Streaming};
use tonic_types::StatusExt;

use crate::support::{
    Answer, Dns, Origin, Process, Service, allow_loopback, eventually, gated_origin, http2,
    metrics::{get, metrics},
    raw_client, reply, requests, service_with, until, within_timeout,
};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Starts an origin that waits for `delay` before it answers.
async fn answering_after(delay: Duration) -> Origin {
    Origin::new(move |_| async move {
        tokio::time::sleep(delay).await;
        reply("there")
    })
    .await
}

/// Fetches `urls` and checks that all of them succeed.
async fn fetch(client: &Client, urls: Vec<String>, concurrency: u32) {
    let fetch = client.fetch(urls).concurrency(concurrency);
    let results = within_timeout(fetch.all()).await;
    assert!(results.iter().all(Result::is_ok));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_batch_does_not_starve_small_ones() {
    let origin = answering_after(Duration::from_millis(20)).await;
    let service = Process::serve(&["--max-in-flight", "100"]);
    let client = Client::connect(&service.url).await.unwrap();
    let large = client
        .fetch((0..10_000).map(|_| origin.url("")))
        .concurrency(1000);
    let large = tokio::spawn(large.all());
    until(|| origin.in_flight() >= 70).await;
    for _ in 0..20 {
        let before = origin.seen();
        fetch(&client, vec![origin.url(""); 5], 5).await;
        // If we weren't fair, the small batch would have to wait for most of the large
        // one.
        let between = origin.seen() - before;
        assert!(between < 1000, "{between} requests were served before");
    }
    assert!(!large.is_finished());
    large.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_host_does_not_block_other_hosts() {
    let fast = answering_after(Duration::from_millis(100)).await;
    let slow = Origin::new(|_| std::future::pending()).await;
    // All fifty names lead to the same address, but each of them counts as a host.
    let dns = Dns::new(|_| Answer::Addresses(vec![LOCAL])).await;
    let mut config = allow_loopback();
    config.limits.max_per_host = 10;
    config.origins.name_servers = vec![dns.address];
    let service = service_with(config).await;
    let client = service.client().await;
    let fast: Vec<_> = (0..500)
        .map(|index| format!("http://fast{}.test:{}/", index % 50, fast.address.port()))
        .collect();
    let mixed = fast.iter().flat_map(|fast| [slow.url(""), fast.clone()]);
    let mut outcomes = client.fetch(mixed).concurrency(200).outcomes();
    // The fast requests all end, while the slow host hasn't answered any of its own yet.
    for _ in 0..500 {
        let outcome = within_timeout(outcomes.next()).await.unwrap();
        assert!(
            outcome.index % 2 == 1 && outcome.error.is_none(),
            "{outcome:?}"
        );
    }
    assert_eq!(slow.peak(), 10);
}

/// Makes a call and doesn't read the response.
async fn unread(service: &Service, urls: Vec<String>) -> Streaming<FetchBatchResponse> {
    let batch = FetchBatchRequest {
        requests: requests(urls),
        ..Default::default()
    };
    let mut client = service.raw_client().await;
    client.fetch_batch(batch).await.unwrap().into_inner()
}

fn large() -> Vec<u8> {
    vec![b'x'; 4 << 20]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_does_not_read_is_ended() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/large" => reply(large()),
            _ => reply("there"),
        }
    })
    .await;
    let mut config = allow_loopback();
    config.limits.max_per_host = 2;
    config.limits.stall_timeout = Duration::from_millis(400);
    let service = service_with(config).await;
    let mut stalled = unread(&service, vec![origin.url("large"); 4]).await;
    until(|| origin.in_flight() == 2 || origin.seen() >= 2).await;
    // Nobody reads these bodies, so they occupy the host until the service ends the call.
    fetch(&service.client().await, vec![origin.url(""); 10], 2).await;
    let status = loop {
        match within_timeout(stalled.message()).await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("expected an error, but the call ended with OK"),
            Err(status) => break status,
        }
    };
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert!(status.get_details_retry_info().is_none(), "{status:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_batch_of_a_caller_that_never_reads_is_ended() {
    // The first size is far above the stream's flow-control window, the second one just a
    // bit.
    for size in [4 << 20, 380_000] {
        end_batch_of_unread_bodies(size).await;
    }
}

async fn end_batch_of_unread_bodies(size: usize) {
    let origin = Origin::new(move |_| async move { reply(vec![b'x'; size]) }).await;
    let mut config = allow_loopback();
    config.limits.max_in_flight = 8;
    config.limits.max_batches = Some(1);
    // The call that is refused must come before this, also on a machine that's busy.
    config.limits.stall_timeout = Duration::from_secs(3);
    let service = service_with(config).await;
    let mut client = service.raw_client().await;
    let mut stalled = unread(&service, vec![origin.url(""); 6]).await;
    let Err(refused) = client.fetch_batch(FetchBatchRequest::default()).await else {
        let first = within_timeout(stalled.message()).await;
        let parts = |message: FetchBatchResponse| message.parts.into_iter();
        let ends = |message| parts(message).map(|part| part.end).collect::<Vec<_>>();
        let first = first.map(|message| message.map(ends));
        panic!("accepted after the first batch of {size} B got {first:?}");
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    // After a while another batch is accepted, even though the caller is still connected.
    eventually(async || {
        let batch = FetchBatchRequest::default();
        client.fetch_batch(batch).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_refuses_calls_before_it_decodes_them() {
    let (origin, gate) = gated_origin().await;
    let mut config = allow_loopback();
    config.limits.max_batches = Some(2);
    config.limits.max_request_bytes = 1 << 20;
    config.limits.max_queued_bytes = 1 << 20;
    let service = service_with(config).await;
    let client = service.client().await;
    let (mut calls, connection) = http2::connect(&service.url).await;
    let nonsense = || http2::call(http2::full_body(&b"\0\0\0\0\x01\xff"[..]));

    // The server has room again, so it gets to decode the message, only to find that it's
    // invalid.
    let response = calls.send_request(nonsense()).await.unwrap();
    assert_ne!(http2::status(response).await.0, "8");

    let open: Vec<_> = (0..2)
        .map(|_| tokio::spawn(client.fetch([origin.url("")]).all()))
        .collect();
    until(|| origin.in_flight() == 2).await;
    let response = calls.send_request(nonsense()).await.unwrap();
    assert_eq!(http2::status(response).await.0, "8");
    let mut raw = service.raw_client().await;
    let status = raw
        .fetch_batch(FetchBatchRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_details_retry_info().unwrap();
    assert!(retry.retry_delay.unwrap() > Duration::ZERO);
    gate.add_permits(100);
    for open in open {
        assert!(open.await.unwrap()[0].is_ok());
    }

    // There's enough memory for one of these messages, but not for two.
    let large = |path: &str| FetchBatchRequest {
        requests: vec![fetchd::proto::FetchRequest {
            url: origin.url(path),
            body: vec![b'x'; 700 << 10].into(),
            method: "POST".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    gate.forget_permits(100);
    let mut first = raw.fetch_batch(large("")).await.unwrap().into_inner();
    let status = raw.fetch_batch(large("")).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(status.message().contains("--max-queued-bytes"), "{status}");
    gate.add_permits(1);
    while first.message().await.unwrap().is_some() {}
    drop(first);
    gate.add_permits(100);
    eventually(async || raw.fetch_batch(large("")).await.is_ok()).await;
    connection.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_requests_are_refused_before_they_are_decoded() {
    let service = Process::serve(&[]);
    let (mut calls, connection) = http2::connect(&service.url).await;
    // Eight million empty requests. Each of them takes two bytes.
    let requests = [0x0a_u8, 0].repeat(8_000_000);
    let length = u32::try_from(requests.len()).unwrap().to_be_bytes();
    let message = [&[0][..], &length, &requests].concat();
    let call = http2::call(http2::full_body(message));
    let response = within_timeout(calls.send_request(call)).await.unwrap();
    assert_eq!(http2::status(response).await.0, "3");
    let peak = service.peak_memory();
    println!("too many requests: peak {} MiB", peak >> 20);
    assert!(peak < 64 << 20, "{peak}");
    connection.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_request_takes_little_memory() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let service = Process::serve(&[]);
    let mut client = raw_client(&service.url).await;
    let batch = |count| FetchBatchRequest {
        requests: requests((0..count).map(|index| origin.url(format_args!("{index:030}")))),
        ..Default::default()
    };
    // Make one call beforehand, since it allocates some memory that has nothing to do
    // with the requests.
    let _first = client.fetch_batch(batch(60)).await.unwrap();
    until(|| origin.in_flight() == 50).await;
    let before = service.memory();
    let _waiting = client.fetch_batch(batch(10_000)).await.unwrap();
    until(|| origin.in_flight() == 100).await;
    let cost = service.memory().saturating_sub(before);
    println!("10,000 waiting requests: {} KiB", cost >> 10);
    assert!(cost < 10 << 20, "{cost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_connection_accepts_no_call_and_finishes_its_batches() {
    let (origin, gate) = gated_origin().await;
    let mut config = allow_loopback();
    config.limits.max_connection_age = Duration::from_millis(300);
    let service = service_with(config).await;
    let (mut calls, connection) = http2::connect(&service.url).await;
    let batch = FetchBatchRequest {
        requests: requests([origin.url("")]),
        ..Default::default()
    };
    let call = http2::call(http2::full_body(http2::message(&batch)));
    let response = within_timeout(calls.send_request(call)).await.unwrap();
    // After a GOAWAY there can't be any new calls on the connection, but the open one
    // still continues.
    let empty = || {
        http2::call(http2::full_body(http2::message(
            &FetchBatchRequest::default(),
        )))
    };
    eventually(async || match calls.send_request(empty()).await {
        Ok(response) => {
            assert_eq!(http2::status(response).await.0, "0");
            false
        }
        Err(_) => true,
    })
    .await;
    gate.add_permits(1);
    assert_eq!(http2::status(response).await.0, "0");
    within_timeout(connection).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_above_the_limit_wait() {
    let mut config = allow_loopback();
    config.limits.max_connections = 1;
    let service = service_with(config).await;
    let (mut first, connection) = http2::connect(&service.url).await;
    let empty = || {
        http2::call(http2::full_body(http2::message(
            &FetchBatchRequest::default(),
        )))
    };
    let response = first.send_request(empty()).await.unwrap();
    assert_eq!(http2::status(response).await.0, "0");
    let (mut second, waiting) = http2::connect(&service.url).await;
    let mut answer = tokio::spawn(async move { second.send_request(empty()).await });
    let early = tokio::time::timeout(Duration::from_millis(100), &mut answer).await;
    assert!(early.is_err(), "a second connection was served");
    drop(first);
    connection.abort();
    let response = within_timeout(answer).await.unwrap().unwrap();
    assert_eq!(http2::status(response).await.0, "0");
    waiting.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_changes_and_every_gauge_returns_to_zero() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/large" => reply(large()),
            "/busy" => {
                let mut reply = reply("");
                *reply.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                reply
            }
            _ => {
                tokio::time::sleep(Duration::from_millis(20)).await;
                reply("there")
            }
        }
    })
    .await;
    let service = Process::serve(&[
        "--max-per-host",
        "3",
        "--max-in-flight",
        "4",
        "--max-batches",
        "2",
    ]);
    assert_eq!(get(&service.admin, "/healthz").await.0, 200);
    // The service logs its address slightly before it's ready.
    within_timeout(async { while get(&service.admin, "/readyz").await.0 != 200 {} }).await;
    assert_eq!(get(&service.admin, "/nothing").await.0, 404);
    let gauges = [
        "fetchd_batches_active",
        "fetchd_fetches_in_flight",
        "fetchd_fetches_queued",
        "fetchd_stalled",
        "fetchd_draining",
    ];
    let at_rest = metrics(&service.admin).await;
    for gauge in gauges {
        assert_eq!(at_rest.get(gauge), Some(&0.0), "{gauge}");
    }
    let client = Client::connect(&service.url).await.unwrap();

    let mut urls = vec![origin.url(""); 20];
    urls.push("http://10.0.0.1/".to_owned());
    urls.push("nonsense".to_owned());
    let mut fetches: Vec<_> = urls.iter().map(Request::get).collect();
    fetches.push(Request::get(origin.url("busy")).max_attempts(2));
    client.fetch(fetches).concurrency(2).all().await;
    // These exceed both the per-host limit and the process-wide one.
    let other = origin.url("").replace("127.0.0.1", "localhost");
    let mixed = (0..20).map(|index| {
        if index % 4 == 0 {
            other.clone()
        } else {
            origin.url("")
        }
    });
    let (_, _) = tokio::join!(
        client.fetch(mixed.clone()).concurrency(8).all(),
        client.fetch(mixed).concurrency(8).all()
    );
    // This caller doesn't read anything.
    let batch = FetchBatchRequest {
        requests: requests(vec![origin.url("large"); 6]),
        concurrency: 4,
        ..Default::default()
    };
    let mut raw = raw_client(&service.url).await;
    let mut unread = raw.fetch_batch(batch).await.unwrap().into_inner();
    let stalled = within_timeout(async {
        loop {
            let now = metrics(&service.admin).await;
            if now["fetchd_stalled"] > 0.0 {
                break now;
            }
        }
    })
    .await;
    assert_eq!(stalled["fetchd_batches_active"], 1.0);
    assert!(stalled["fetchd_fetches_in_flight"] > 0.0);
    assert!(stalled["fetchd_fetches_queued"] > 0.0);
    while within_timeout(unread.message()).await.unwrap().is_some() {}

    let now = within_timeout(async {
        loop {
            let now = metrics(&service.admin).await;
            if gauges.iter().all(|gauge| now[*gauge] == 0.0) {
                break now;
            }
        }
    })
    .await;
    for (metric, value) in [
        ("fetchd_batches_total{code=\"OK\"}", 4.0),
        ("fetchd_fetches_total{outcome=\"2xx\"}", 66.0),
        ("fetchd_fetches_total{outcome=\"5xx\"}", 1.0),
        ("fetchd_fetches_total{outcome=\"blocked\"}", 1.0),
        ("fetchd_fetches_total{outcome=\"invalid_request\"}", 1.0),
        ("fetchd_retries_total{cause=\"503\"}", 1.0),
        ("fetchd_egress_denied_total{rule=\"private range\"}", 1.0),
        (
            "fetchd_body_bytes_total",
            60.0 * 5.0 + 6.0 * f64::from(4 << 20),
        ),
        ("fetchd_queue_duration_seconds_count", 69.0),
        ("fetchd_fetch_duration_seconds_count", 68.0),
    ] {
        assert_eq!(now.get(metric), Some(&value), "{metric}: {now:#?}");
    }
    for limit in ["batch", "host", "process"] {
        let waits = now[&format!("fetchd_limit_waits_total{{limit=\"{limit}\"}}")];
        assert!(waits > 0.0, "{limit}: {now:#?}");
    }
    assert!(now["process_resident_memory_bytes"] > 0.0);
    assert!(now["process_open_fds"] > 0.0);
    // Refused calls are counted too, under their code.
    let wrong = FetchBatchRequest {
        options: Some(fetchd::proto::FetchOptions {
            max_attempts: Some(0),
            ..Default::default()
        }),
        ..Default::default()
    };
    assert!(raw.fetch_batch(wrong).await.is_err());
    let now = metrics(&service.admin).await;
    assert_eq!(now["fetchd_batches_total{code=\"INVALID_ARGUMENT\"}"], 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_that_never_read_leave_slots_to_others() {
    const CALLERS: usize = 200;
    const BODIES: usize = 100;

    let origin = Origin::new(|_| async { reply(vec![b'x'; 1 << 20]) }).await;
    let service = Process::serve(&[]);
    let batch = || FetchBatchRequest {
        requests: requests(vec![origin.url(""); BODIES]),
        ..Default::default()
    };
    let callers = (0..CALLERS).map(|_| async {
        let mut client = raw_client(&service.url).await;
        let messages = client.fetch_batch(batch()).await.unwrap();
        (client, messages)
    });
    let _unread = within_timeout(join_all(callers)).await;
    // They take all shared slots, plus the one reserved for each batch.
    eventually(async || metrics(&service.admin).await["fetchd_stalled"] >= 900.0).await;
    let mut client = raw_client(&service.url).await;
    let mut messages = client.fetch_batch(batch()).await.unwrap().into_inner();
    let mut bytes = 0;
    let read = async {
        while let Some(message) = messages.message().await.unwrap() {
            bytes += message
                .parts
                .iter()
                .map(|part| part.body.len())
                .sum::<usize>();
        }
    };
    within_timeout(read).await;
    assert_eq!(bytes, BODIES << 20);
    let stalled = metrics(&service.admin).await["fetchd_stalled"];
    assert!(stalled >= 900.0, "{stalled}");
    let peak = service.peak_memory();
    println!("peak {} MiB", peak >> 20);
    assert!(peak < 450 << 20, "{peak}");
}

#[test]
fn default_limits_are_valid() {
    assert!(Config::default().validate().is_ok());
    let limits = Config::default().limits;
    assert_eq!(limits.batches(), 256);
}
