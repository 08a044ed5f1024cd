//! Callers that send oversized requests, cancel lots of calls or don't read. They must
//! not do any harm to the service or to each other.

use std::time::Duration;

use fetchd::{
    client::Request,
    proto::{FetchBatchRequest, FetchOptions, Header, Reason, ResultPart},
};
use futures_util::{StreamExt, future::join_all};
use prost::Message;
use tonic::Code;

use crate::support::{
    Origin, RawOrigin, Service, allow_loopback, check, http2, reply, requests, row, service,
    service_with, until, within_timeout,
};

/// Makes a call on a new connection. Returns all parts, sorted by index.
async fn parts(service: &Service, batch: FetchBatchRequest) -> Vec<ResultPart> {
    let mut client = service.raw_client().await;
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let mut parts = Vec::new();
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        assert!(message.encoded_len() <= 512 << 10);
        parts.extend(message.parts);
    }
    parts.sort_by_key(|part| part.index);
    parts
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oversized_request_fails_alone() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = service().await;
    let mut batch = FetchBatchRequest {
        requests: requests((0..7).map(|_| origin.url(""))),
        ..Default::default()
    };
    let huge = "a".repeat(1 << 20);
    batch.requests[0].method = huge.clone();
    batch.requests[1].headers = vec![Header {
        name: format!("{huge}\0"),
        value: "x".into(),
    }];
    batch.requests[2].headers = (0..33_000)
        .map(|index| Header {
            name: format!("x-{index}"),
            value: "x".into(),
        })
        .collect();
    batch.requests[3].url = format!("{huge}:x");
    let least = prost_types::Duration {
        seconds: i64::MIN,
        nanos: i32::MIN,
    };
    let most = prost_types::Duration {
        seconds: i64::MAX,
        nanos: 999_999_999,
    };
    let of = |timeout| {
        Some(FetchOptions {
            timeout: Some(timeout),
            ..Default::default()
        })
    };
    batch.requests[4].options = of(least);
    batch.requests[5].options = of(most);
    batch.timeout = Some(most);

    let parts = parts(&service, batch).await;
    assert_eq!(parts.len(), 7);
    for (index, part) in parts.into_iter().enumerate() {
        let error = part.end.unwrap().error;
        if index < 5 {
            let error = error.unwrap();
            assert_eq!(error.reason(), Reason::InvalidRequest);
            assert!(error.message.len() < 300, "{}", error.message);
        } else {
            assert_eq!((error, &part.body[..]), (None, &b"there"[..]));
        }
    }

    let batch = FetchBatchRequest {
        timeout: Some(least),
        ..Default::default()
    };
    let status = service
        .raw_client()
        .await
        .fetch_batch(batch)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_response_head_over_its_limit_is_refused() {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx: {}\r\n\r\n",
        "x".repeat(66_000)
    );
    let origin = RawOrigin::answering(head.as_str()).await;
    let service = service().await;
    let large = row("66,000 bytes", origin.url(), Reason::Protocol, false);
    check(&service.client().await, vec![large]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_cancelled_calls_do_not_affect_other_calls() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
        reply("there")
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    let going_on = client
        .fetch((0..500).map(|_| origin.url("")))
        .concurrency(10)
        .all();
    let cancelling = async {
        // In every burst, some calls are cancelled before the service ever sees them.
        for _ in 0..8 {
            let calls = (0..100).map(|_| client.fetch([origin.url("never")]).all());
            let _ = tokio::time::timeout(Duration::from_millis(2), join_all(calls)).await;
            // When this one is answered, the service must have read all the earlier ones.
            client.fetch([origin.url("")]).outcomes().next().await;
        }
    };
    let (results, ()) = within_timeout(async { tokio::join!(going_on, cancelling) }).await;
    let errors: Vec<_> = results
        .iter()
        .filter_map(|result| result.as_ref().err())
        .collect();
    assert!(errors.is_empty(), "{} of 500: {}", errors.len(), errors[0]);
    until(|| origin.in_flight() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_unread_bodies_do_not_block_other_calls() {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/large" => reply(vec![b'x'; 8 << 20]),
            _ => reply("there"),
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    let unread = (0..40).map(|_| client.execute(origin.url("large")));
    let unread = within_timeout(join_all(unread)).await;
    let results = within_timeout(client.fetch_all((0..100).map(|_| origin.url("")))).await;
    assert!(results.iter().all(Result::is_ok));
    for response in unread {
        assert_eq!(
            within_timeout(response.unwrap().bytes())
                .await
                .unwrap()
                .len(),
            8 << 20
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_to_origins_are_bounded() {
    let mut config = allow_loopback();
    config.limits.max_in_flight = 10;
    let service = service_with(config).await;
    let client = service.client().await;
    // Every address counts as a separate host with its own connection.
    let (opened, mut connections) = tokio::sync::mpsc::unbounded_channel();
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let accepting = tokio::spawn(async move {
        let open = std::sync::Arc::new(());
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (opened, open) = (opened.clone(), open.clone());
            tokio::spawn(async move {
                let _ = opened.send(std::sync::Arc::strong_count(&open) - 1);
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                while !crate::support::read_head(&mut stream).await.is_empty() {
                    tokio::io::AsyncWriteExt::write_all(&mut stream, answer)
                        .await
                        .unwrap();
                }
            });
        }
    });
    let urls = (0..200).map(|host| format!("http://127.0.1.{host}:{port}/"));
    let results = within_timeout(client.fetch_all(urls)).await;
    assert!(results.iter().all(Result::is_ok));
    accepting.abort();
    let mut most = 0;
    while let Ok(open) = connections.try_recv() {
        most = most.max(open);
    }
    // The pool keeps at most twice as many connections as there are requests in flight.
    // Those have connections, too, and the origin is a bit late to notice when one is
    // closed. If there were no limit, we'd see 200 here.
    assert!((20..100).contains(&most), "{most} connections at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wait_before_a_second_attempt_is_not_part_of_the_timeout() {
    let tries = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let origin = Origin::new(move |request| {
        let tries = tries.clone();
        async move {
            let mut response = reply("there");
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_secs(1)).await;
            } else if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                *response.status_mut() = 503.try_into().unwrap();
            }
            response
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    // There's only one slot. The first request needs it for its second attempt, but the
    // other one occupies it for longer than the first one's timeout.
    let requests = [
        Request::get(origin.url("twice")).timeout(Duration::from_millis(600)),
        Request::get(origin.url("slow")),
    ];
    let outcomes: Vec<_> = client
        .fetch(requests)
        .concurrency(1)
        .in_order()
        .collect()
        .await;
    assert!(outcomes[0].error.is_none(), "{:?}", outcomes[0].error);
    let stats = outcomes[0].stats;
    assert_eq!(stats.attempts, 2);
    assert!(stats.queued >= Duration::from_millis(600), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_queue_time_of_a_request_ended_by_the_deadline_is_reported() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let service = service().await;
    let client = service.client().await;
    let timeout = Duration::from_millis(300);
    let fetch = client
        .fetch([origin.url(""), origin.url("")])
        .concurrency(1)
        .timeout(timeout);
    let outcomes: Vec<_> = fetch.in_order().collect().await;
    let waited = outcomes[1].stats;
    assert_eq!((waited.attempts, waited.total), (0, None));
    assert!(waited.queued >= timeout, "{waited:?}");
    assert!(outcomes[0].stats.queued < timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_resets_all_its_calls_harms_no_other_caller() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = service().await;
    let client = service.client().await;
    // Start calls and cancel them again, as fast as we can (CVE-2023-44487).
    let (mut calls, connection) = http2::connect(&service.url).await;
    let resetting = tokio::spawn(async move {
        loop {
            let begun: Vec<_> = (0..500)
                .map(|_| calls.send_request(http2::call(http2::full_body(""))))
                .collect();
            drop(begun);
            if calls.ready().await.is_err() {
                return;
            }
            tokio::task::yield_now().await;
        }
    });
    for _ in 0..20 {
        let results = within_timeout(client.fetch_all([origin.url("")])).await;
        assert!(results[0].is_ok());
    }
    // By now the service may have closed the connection, or it may not have.
    resetting.abort();
    connection.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn call_headers_over_their_limit_are_refused() {
    let service = service().await;
    let (mut calls, connection) = http2::connect(&service.url).await;
    let mut call = http2::call(http2::full_body(""));
    for line in 0..20 {
        let name: http::HeaderName = format!("x-{line}").parse().unwrap();
        call.headers_mut()
            .insert(name, "x".repeat(1000).parse().unwrap());
    }
    let answer = within_timeout(calls.send_request(call)).await;
    let status = answer.map(|response| response.status());
    assert!(
        status.is_err() || status.unwrap() == 431,
        "20 KB of headers were accepted"
    );
    connection.abort();
}
