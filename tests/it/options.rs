//! Request and batch options. Each one must do what the contract says, and if one is
//! invalid, the error must name its field.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::{
    client::{Outcome, Request},
    proto::{FetchBatchRequest, FetchOptions, FetchRequest, Header, Reason, ResultPart},
};
use futures_util::StreamExt;
use http_body_util::BodyExt;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{
    Origin, Service, allow_loopback, fill_backlog, reply, requests, service, service_with,
    short_backlog, within_timeout,
};

/// Fetches a single request.
async fn outcome(service: &Service, request: impl Into<Request>) -> Outcome {
    let client = service.client().await;
    let mut outcomes = client.fetch([request]).outcomes();
    within_timeout(outcomes.next()).await.unwrap()
}

fn reason(outcome: &Outcome) -> Option<Reason> {
    outcome
        .error
        .as_ref()
        .and_then(fetchd::client::Error::reason)
}

/// Makes a call and returns all parts.
async fn parts(service: &Service, batch: FetchBatchRequest) -> Vec<ResultPart> {
    let mut messages = service
        .raw_client()
        .await
        .fetch_batch(batch)
        .await
        .unwrap()
        .into_inner();
    let mut parts = Vec::new();
    while let Some(message) = within_timeout(messages.message()).await.unwrap() {
        parts.extend(message.parts);
    }
    parts
}

/// Starts an origin that sends back the request: its method, path and query, headers and
/// body.
async fn echo() -> Origin {
    Origin::new(|request| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let mut text = format!("{} {}\n", head.method, head.uri);
        for (name, value) in &head.headers {
            text += &format!("{name}: {}\n", value.to_str().unwrap());
        }
        reply([text.as_bytes(), b"\n", &body].concat())
    })
    .await
}

fn body_text(outcome: &Outcome) -> String {
    let response = outcome.response.as_ref().unwrap();
    String::from_utf8(response.body.to_vec()).unwrap()
}

/// Starts an origin that redirects from `/N` to `/N-1` until it gets to `/0`.
async fn redirecting(status: u16) -> Origin {
    Origin::new(move |request| async move {
        let left: u32 = request.uri().path()[1..].parse().unwrap();
        let body = request.method().to_string();
        let mut response = reply(body);
        if left > 0 {
            *response.status_mut() = status.try_into().unwrap();
            let next = format!("/{}", left - 1);
            response
                .headers_mut()
                .insert("location", next.parse().unwrap());
        }
        response
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_reaches_its_origin_as_it_was_written() {
    let origin = echo().await;
    let service = service().await;
    let request = Request::post(origin.url("a%20b?q=1#fragment"), "the body")
        .header("x-one", "1")
        .header("X-One", "2");
    let text = body_text(&outcome(&service, request).await);
    assert!(text.starts_with("POST /a%20b?q=1\n"), "{text}");
    assert!(text.contains("x-one: 1\nx-one: 2\n"), "{text}");
    assert!(text.contains("content-length: 8\n"), "{text}");
    assert!(text.contains(concat!(
        "user-agent: fetchd/",
        env!("CARGO_PKG_VERSION"),
        "\n"
    )));
    assert!(text.ends_with("\n\nthe body"), "{text}");

    let custom = Request::get(origin.url("")).header("user-agent", "mine");
    let text = body_text(&outcome(&service, custom).await);
    assert!(
        text.contains("user-agent: mine\n") && !text.contains("fetchd"),
        "{text}"
    );

    // If a POST has no body, its length is 0. User info in the URL is sent as
    // Authorization.
    let url = origin.url("").replace("http://", "http://user:secret@");
    let outcome = outcome(&service, Request::new("POST", url)).await;
    let text = body_text(&outcome);
    assert!(text.contains("content-length: 0\n"), "{text}");
    assert!(
        text.contains("authorization: Basic dXNlcjpzZWNyZXQ=\n"),
        "{text}"
    );
    let answered = outcome.response.unwrap().url;
    assert_eq!(answered.as_str(), origin.url(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_request_body_arrives_whole() {
    let origin = Origin::new(|request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        reply(format!("{} {}", body.len(), crc32fast::hash(&body)))
    })
    .await;
    let service = service().await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|byte| byte as u8).collect();
    let expected = format!("{} {}", body.len(), crc32fast::hash(&body));
    let outcome = outcome(&service, Request::post(origin.url(""), body)).await;
    assert_eq!(body_text(&outcome), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_up_to_their_limit() {
    let service = service().await;
    for (status, method) in [
        (301, "GET"),
        (302, "GET"),
        (303, "GET"),
        (307, "POST"),
        (308, "POST"),
    ] {
        let origin = redirecting(status).await;
        let outcome = outcome(&service, Request::post(origin.url(3), "body")).await;
        assert_eq!(outcome.stats.redirects, 3);
        assert_eq!(body_text(&outcome), method, "{status}");
        assert_eq!(outcome.response.unwrap().url.as_str(), origin.url(0));
    }
    let origin = redirecting(302).await;
    let few = outcome(&service, Request::get(origin.url(3)).max_redirects(2)).await;
    assert_eq!(reason(&few), Some(Reason::TooManyRedirects));
    assert_eq!((few.stats.redirects, few.stats.attempts), (2, 1));

    let none = outcome(&service, Request::get(origin.url(3)).max_redirects(0)).await;
    let response = none.response.unwrap();
    assert_eq!(response.status, 302);
    assert_eq!(response.headers["location"], "/2");

    // By default the limit is 10. It can't be more than 20.
    let default = outcome(&service, origin.url(11)).await;
    assert_eq!(reason(&default), Some(Reason::TooManyRedirects));
    let most = outcome(&service, Request::get(origin.url(20)).max_redirects(1000)).await;
    assert_eq!(most.stats.redirects, 20);
    let more = outcome(&service, Request::get(origin.url(21)).max_redirects(1000)).await;
    assert_eq!(reason(&more), Some(Reason::TooManyRedirects));
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_are_not_sent_to_another_origin() {
    let other = echo().await;
    let target = other.url("there");
    let origin = Origin::new(move |_| {
        let mut response = reply("");
        *response.status_mut() = 302.try_into().unwrap();
        response
            .headers_mut()
            .insert("location", target.parse().unwrap());
        async { response }
    })
    .await;
    let service = service().await;
    let request = Request::post(origin.url(""), "body")
        .header("authorization", "Bearer secret")
        .header("cookie", "a=secret")
        .header("content-type", "text/plain")
        .header("x-other", "kept");
    let text = body_text(&outcome(&service, request).await);
    assert!(text.starts_with("GET /there\n"), "{text}");
    assert!(
        !text.contains("secret") && !text.contains("content-"),
        "{text}"
    );
    assert!(text.contains("x-other: kept\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_its_limit_fails_or_is_truncated() {
    const LIMIT: u64 = 100_000;
    let origin = Origin::new(|request| async move {
        let length: usize = request.uri().path()[1..].parse().unwrap();
        reply(vec![b'x'; length])
    })
    .await;
    let service = service().await;
    for length in [0, 1, 65_536, 65_537, LIMIT - 1, LIMIT] {
        let request = Request::get(origin.url(length))
            .max_body_bytes(LIMIT)
            .truncate_body();
        let outcome = outcome(&service, request).await;
        assert_eq!(outcome.response.unwrap().body.len() as u64, length);
        assert!(outcome.error.is_none() && !outcome.stats.truncated);
    }
    for length in [LIMIT + 1, LIMIT * 10] {
        let request = Request::get(origin.url(length)).max_body_bytes(LIMIT);
        let cut = outcome(&service, request.clone().truncate_body()).await;
        assert_eq!(cut.response.unwrap().body.len() as u64, LIMIT);
        assert!(cut.error.is_none() && cut.stats.truncated);

        let failed = outcome(&service, request).await;
        assert_eq!(reason(&failed), Some(Reason::BodyTooLarge));
        assert!(!failed.error.unwrap().is_retryable());
        assert_eq!(failed.stats.attempts, 1);
    }
    let request = Request::get(origin.url(10))
        .max_body_bytes(0)
        .truncate_body();
    let empty = outcome(&service, request).await;
    assert!(empty.stats.truncated && empty.response.unwrap().body.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_above_its_ceiling_is_lowered_to_it() {
    let origin = Origin::new(|request| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        reply(vec![b'x'; 2000])
    })
    .await;
    let mut config = allow_loopback();
    config.request_limits.max_body_bytes = 1000;
    config.request_limits.max_timeout = Duration::from_millis(100);
    let service = service_with(config).await;
    let request = Request::get(origin.url(""))
        .max_body_bytes(u64::MAX)
        .truncate_body();
    let cut = outcome(&service, request).await;
    assert_eq!(cut.response.unwrap().body.len(), 1000);
    let request = Request::get(origin.url("never")).timeout(Duration::MAX);
    let late = outcome(&service, request).await;
    assert_eq!(reason(&late), Some(Reason::Timeout));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_timeout_ends_its_phase() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let service = service().await;
    let short = Duration::from_millis(100);

    let request = Request::get(origin.url("")).timeout(short);
    let total = outcome(&service, request).await;
    assert_eq!(reason(&total), Some(Reason::Timeout));
    assert!(
        total
            .error
            .unwrap()
            .to_string()
            .starts_with("timeout of 100ms passed")
    );
    assert_eq!(total.stats.attempts, 1);
    assert!(total.stats.total.unwrap() >= short);
    assert_eq!(total.stats.first_byte, None);

    let request = Request::get(origin.url(""))
        .idle_timeout(short)
        .max_attempts(2);
    let idle = outcome(&service, request).await;
    assert_eq!(reason(&idle), Some(Reason::Timeout));
    assert!(
        idle.error
            .unwrap()
            .to_string()
            .starts_with("idle_timeout of 100ms passed")
    );
    assert_eq!(idle.stats.attempts, 2);

    let full = short_backlog();
    let _filling = fill_backlog(&full).await;
    let address = full.local_addr().unwrap();
    let request = Request::get(format!("http://{address}/"))
        .connect_timeout(short)
        .max_attempts(1);
    let connect = outcome(&service, request).await;
    assert_eq!(
        reason(&connect),
        Some(Reason::Connect),
        "{:?}",
        connect.error
    );
    let message = connect.error.unwrap().to_string();
    assert!(
        message.contains("connect_timeout of 100ms passed in TCP"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_for_a_slot_is_not_part_of_the_timeout() {
    let origin = Origin::new(|_| async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        reply("there")
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    // 400 requests that take 10 ms each, one after the other. Their timeout is just
    // 100 ms.
    let requests =
        (0..400).map(|_| Request::get(origin.url("")).timeout(Duration::from_millis(100)));
    let outcomes: Vec<_> = client
        .fetch(requests)
        .concurrency(1)
        .outcomes()
        .collect()
        .await;
    assert_eq!(outcomes.len(), 400);
    assert!(outcomes.iter().all(|outcome| outcome.error.is_none()));
    let last = outcomes.last().unwrap().stats;
    assert!(last.queued >= Duration::from_millis(399 * 10), "{last:?}");
    assert!(last.total.unwrap() < Duration::from_millis(100), "{last:?}");
    assert!(last.first_byte.unwrap() <= last.total.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotent_requests_are_retried_and_others_are_not() {
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    // Only every third answer is a 200.
    let origin = Origin::new(move |_| {
        let attempt = count.fetch_add(1, Ordering::SeqCst) + 1;
        let mut response = reply(format!("{attempt}"));
        if !attempt.is_multiple_of(3) {
            *response.status_mut() = 503.try_into().unwrap();
        }
        async { response }
    })
    .await;
    let service = service().await;
    let third = outcome(&service, origin.url("")).await;
    assert_eq!(third.stats.attempts, 3);
    assert_eq!(body_text(&third), "3");

    let once = outcome(&service, Request::post(origin.url(""), "")).await;
    assert_eq!(
        (once.stats.attempts, once.response.unwrap().status.as_u16()),
        (1, 503)
    );
    // If there are no more attempts, the last response is the result.
    let two = outcome(&service, Request::get(origin.url("")).max_attempts(1)).await;
    assert_eq!(
        (two.stats.attempts, two.response.unwrap().status.as_u16()),
        (1, 503)
    );

    // A POST that we haven't written is retried, too.
    let refused = Request::post("http://127.0.0.1:1/", "").max_attempts(2);
    let refused = outcome(&service, refused).await;
    assert_eq!(reason(&refused), Some(Reason::Connect));
    assert_eq!(refused.stats.attempts, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_waits_for_a_retry_does_not_block_others() {
    let origin = Origin::new(|request| async move {
        let mut response = reply("");
        if request.uri().path() == "/busy" {
            *response.status_mut() = 503.try_into().unwrap();
        }
        response
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    // There's only one slot. While the first request waits for its retry, the other ones
    // use it.
    let urls = std::iter::once("busy").chain(std::iter::repeat_n("", 20));
    let requests = urls.map(|path| {
        Request::get(origin.url(path))
            .max_attempts(10)
            .timeout(Duration::from_secs(5))
    });
    let outcomes: Vec<_> = client
        .fetch(requests)
        .concurrency(1)
        .outcomes()
        .collect()
        .await;
    assert_eq!(outcomes.last().unwrap().index, 0);
    assert!(outcomes.last().unwrap().stats.attempts > 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn private_addresses_are_denied_unless_allowed() {
    let origin = echo().await;
    let service = service_with(fetchd::config::Config::default()).await;
    let port = origin.address.port();
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "[::ffff:127.0.0.1]",
        "localhost",
        "0.0.0.0",
    ] {
        let outcome = outcome(&service, format!("http://{host}:{port}/")).await;
        assert_eq!(
            reason(&outcome),
            Some(Reason::Blocked),
            "{host}: {:?}",
            outcome.error
        );
        assert_eq!(outcome.stats.attempts, 1);
    }
    assert_eq!(origin.seen(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_request_fails_at_once_and_alone() {
    let origin = Origin::new(|_| std::future::pending()).await;
    let service = service().await;
    let with = |change: fn(&mut FetchRequest)| {
        let mut request = requests([origin.url("")]).remove(0);
        change(&mut request);
        request
    };
    let zero = prost_types::Duration::default();
    let mut batch = FetchBatchRequest {
        requests: vec![
            with(|_| {}),
            with(|request| request.url = String::new()),
            with(|request| request.url = "ftp://example.com/".to_owned()),
            with(|request| request.method = "G".repeat(1000)),
            with(|request| {
                request.headers.push(Header {
                    name: "Host".to_owned(),
                    value: "a".into(),
                });
            }),
            with(|request| request.options.get_or_insert_default().max_attempts = Some(0)),
            with(|request| request.options.get_or_insert_default().body_overflow = 9),
        ],
        concurrency: 1,
        ..Default::default()
    };
    batch.requests.push(with(|_| {}));
    batch.requests[7].options.get_or_insert_default().timeout = Some(zero);

    let mut messages = service
        .raw_client()
        .await
        .fetch_batch(batch)
        .await
        .unwrap()
        .into_inner();
    // All requests end, except for the first one.
    let mut parts = Vec::new();
    while parts.len() < 7 {
        parts.extend(
            within_timeout(messages.message())
                .await
                .unwrap()
                .unwrap()
                .parts,
        );
    }
    for part in parts {
        let end = part.end.unwrap();
        assert_eq!(end.attempts, 0);
        let error = end.error.unwrap();
        assert_eq!(error.reason(), Reason::InvalidRequest);
        assert!(!error.retryable);
        let field = [
            "",
            "url",
            "url",
            "method",
            "headers",
            "max_attempts",
            "body_overflow",
            "timeout",
        ];
        assert!(
            error.message.starts_with(field[part.index as usize]),
            "{}",
            error.message
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_option_of_the_batch_refuses_the_call() {
    let service = service().await;
    let mut client = service.raw_client().await;
    let negative = prost_types::Duration {
        seconds: -1,
        nanos: 0,
    };
    let of = |options| FetchBatchRequest {
        options: Some(options),
        ..Default::default()
    };
    for (field, batch) in [
        (
            "options.timeout",
            of(FetchOptions {
                timeout: Some(negative),
                ..Default::default()
            }),
        ),
        (
            "options.max_attempts",
            of(FetchOptions {
                max_attempts: Some(0),
                ..Default::default()
            }),
        ),
        (
            "options.body_overflow",
            of(FetchOptions {
                body_overflow: 3,
                ..Default::default()
            }),
        ),
        (
            "timeout",
            FetchBatchRequest {
                timeout: Some(negative),
                ..Default::default()
            },
        ),
    ] {
        let status = client.fetch_batch(batch).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        let violations = status.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_option_of_a_request_overrides_that_of_its_batch() {
    let origin = redirecting(302).await;
    let service = service().await;
    let redirects = |count| FetchOptions {
        max_redirects: Some(count),
        ..Default::default()
    };
    let mut batch = FetchBatchRequest {
        requests: requests([origin.url(2), origin.url(2)]),
        options: Some(redirects(0)),
        ..Default::default()
    };
    batch.requests[1].options = Some(redirects(5));
    let mut parts = parts(&service, batch).await;
    parts.sort_by_key(|part| part.index);
    let statuses = parts.iter().map(|part| part.head.as_ref().unwrap().status);
    assert!(statuses.eq([302, 200]));
}
