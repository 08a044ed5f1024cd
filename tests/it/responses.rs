//! Unusual but valid responses. The caller gets them unchanged.

use std::{
    fmt::Write,
    net::Ipv4Addr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime},
};

use fetchd::{
    client::{Client, Outcome, Request, Response},
    proto::Reason,
};
use futures_util::{StreamExt, future::join_all};
use http::{HeaderValue, StatusCode, Version, header};
use rand::RngExt;
use tokio::io::AsyncWriteExt;

use crate::support::{
    Answer, Authority, Dns, Origin, RawOrigin, allow_loopback, check, read_head, reply, row,
    service, service_with, within_timeout,
};

async fn outcome(client: &Client, request: impl Into<Request>) -> Outcome {
    within_timeout(client.fetch([request]).outcomes().next())
        .await
        .unwrap()
}

/// Fetches from an origin that sends `answer`. Returns the response.
async fn response(client: &Client, method: &str, answer: &str) -> Response {
    raw_response(client, method, answer.as_bytes()).await
}

async fn raw_response(client: &Client, method: &str, answer: &[u8]) -> Response {
    let origin = RawOrigin::answering(answer).await;
    let outcome = outcome(client, Request::new(method, origin.url())).await;
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(outcome.stats.attempts, 1);
    outcome.response.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn interim_responses_are_skipped() {
    let service = service().await;
    let client = service.client().await;

    let hints = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n";
    let informed = format!("{hints}HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\nhi");
    let informed = response(&client, "GET", &informed).await;
    assert_eq!(
        (informed.status.as_u16(), &informed.body[..]),
        (201, &b"hi"[..])
    );
    assert!(!informed.headers.contains_key("link"));
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_without_a_body_are_empty() {
    let service = service().await;
    let client = service.client().await;
    for (method, answer, status, length) in [
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, None),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 10\r\n\r\n",
            304,
            Some("10"),
        ),
        (
            "HEAD",
            "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
            200,
            Some("10"),
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            200,
            Some("0"),
        ),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 0\r\n\r\n",
            200,
            Some("0"),
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\ncontent-encoding: gzip\r\n\r\n",
            304,
            None,
        ),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\ncontent-encoding: gzip\r\n\r\n",
            204,
            None,
        ),
        (
            "GET",
            "HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n",
            302,
            Some("0"),
        ),
    ] {
        let response = response(&client, method, answer).await;
        assert_eq!(
            (response.status.as_u16(), response.body.len()),
            (status, 0),
            "{answer}"
        );
        let given = response
            .headers
            .get("content-length")
            .map(|value| value.to_str().unwrap());
        assert_eq!(given, length, "{answer}");
        let is_encoded = answer.contains("content-encoding");
        assert_eq!(
            response.headers.contains_key("content-encoding"),
            is_encoded,
            "{answer}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_1_0_body_ends_with_the_connection() {
    let service = service().await;
    let client = service.client().await;
    let old = response(&client, "GET", "HTTP/1.0 200 OK\r\n\r\nup to the end").await;
    assert_eq!(
        (old.version, &old.body[..]),
        (Version::HTTP_10, &b"up to the end"[..])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn chunk_extensions_and_trailers_are_dropped() {
    let service = service().await;
    let client = service.client().await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: x\r\n\r\n";
    let trailed = format!("{chunked}3\r\nabc\r\n2;ext=1\r\nde\r\n0\r\nx: y\r\n\r\n");
    let trailed = response(&client, "GET", &trailed).await;
    assert_eq!(trailed.body, "abcde");
    assert!(!trailed.headers.contains_key("x"));
}

#[tokio::test(flavor = "multi_thread")]
async fn header_values_are_bytes_and_names_may_repeat() {
    let service = service().await;
    let client = service.client().await;
    let bytes = b"HTTP/1.1 200 OK\r\nx: \xff\xfe\r\nset-cookie: a\r\nSet-Cookie: b\r\ncontent-length: 0\r\n\r\n";
    let bytes = raw_response(&client, "GET", bytes).await;
    assert_eq!(bytes.headers["x"].as_bytes(), b"\xff\xfe");
    let cookies: Vec<_> = bytes.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_header_lines_are_accepted() {
    let service = service().await;
    let client = service.client().await;
    let mut many = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n".to_owned();
    for index in 1..100 {
        write!(many, "x-{index}: {index}\r\n").unwrap();
    }
    let many = response(&client, "GET", &(many + "\r\n")).await;
    assert_eq!(many.headers.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_redirects_fail() {
    let origin = Origin::new(|request| async move {
        let location = match request.uri().path() {
            "/loop" => "/loop".to_owned(),
            "/ftp" => "ftp://example.com/".to_owned(),
            "/file" => "file:///etc/passwd".to_owned(),
            "/javascript" => "javascript:alert(1)".to_owned(),
            "/malformed" => "http://[::1".to_owned(),
            "/long" => format!("/{}", "x".repeat(17 << 10)),
            path => panic!("{path}"),
        };
        let mut response = reply("");
        *response.status_mut() = 302.try_into().unwrap();
        response
            .headers_mut()
            .insert("location", location.parse().unwrap());
        response
    })
    .await;
    let service = service().await;
    let bad = |path, reason| row(path, origin.url(path), reason, false);
    check(
        &service.client().await,
        vec![
            bad("loop", Reason::TooManyRedirects),
            bad("ftp", Reason::Blocked),
            bad("file", Reason::Blocked),
            bad("javascript", Reason::Blocked),
            bad("malformed", Reason::Protocol),
            bad("long", Reason::Protocol),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_location_is_parsed_by_the_url_standard() {
    let other = Origin::new(|_| async { reply("there") }).await;
    let host = other.address;
    let here = Arc::new(Mutex::new(String::new()));
    let given = Arc::clone(&here);
    let origin = Origin::new(move |request| {
        let location = given.lock().unwrap().clone();
        async move {
            if request.uri().path() != "/a/b" {
                return reply("here");
            }
            let mut response = reply("");
            *response.status_mut() = 302.try_into().unwrap();
            let location = location.parse().unwrap();
            response.headers_mut().insert("location", location);
            response
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    let there = |target: &str| format!("http://{host}{target}");
    let back = |target: &str| origin.url(&target[1..]);
    let mut wrong = Vec::new();
    for (location, expected) in [
        (format!("//{host}/path"), there("/path")),
        (format!("///{host}/path"), there("/path")),
        (format!("/////{host}/path"), there("/path")),
        (format!("/\\{host}/path"), there("/path")),
        (format!("/\\/{host}/path"), there("/path")),
        (format!("\\\\{host}\\path"), there("/path")),
        (format!("http://{host}/path"), there("/path")),
        (format!("HTTP:///{host}/path"), there("/path")),
        (format!("http:\\\\{host}/path"), there("/path")),
        (format!("//{host}"), there("/")),
        (format!("///{host}?a=b#c"), there("/?a=b")),
        (format!("//{host}/a/./b/../c"), there("/a/c")),
        (format!("//{host}/%2e%2e/a%2Fb"), there("/a%2Fb")),
        (format!("//{host}/a b"), there("/a%20b")),
        (format!("//{host}/a\tb"), there("/ab")),
        (format!("/\t//{host}/path"), there("/path")),
        (format!(" \t //{host}/path \t "), there("/path")),
        ("c".to_owned(), back("/a/c")),
        ("/c".to_owned(), back("/c")),
        ("../../../c".to_owned(), back("/c")),
        ("../b?c".to_owned(), back("/b?c")),
        ("http:c".to_owned(), back("/a/c")),
        ("http:/c".to_owned(), back("/c")),
        (".//c".to_owned(), back("/a//c")),
    ] {
        here.lock().unwrap().clone_from(&location);
        let outcome = outcome(&client, origin.url("a/b")).await;
        let answered = outcome.response.as_ref();
        let url = answered.map(|response| response.url.to_string());
        if url.as_ref() != Some(&expected) || outcome.error.is_some() {
            wrong.push((location, expected, url, outcome.error));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_delays_the_next_attempt() {
    let origin = Origin::new(|request| async move {
        let mut response = reply("");
        *response.status_mut() = 429.try_into().unwrap();
        let after = request.uri().path()[1..].to_owned();
        response
            .headers_mut()
            .insert("retry-after", after.parse().unwrap());
        response
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    let second = outcome(&client, Request::get(origin.url(1)).max_attempts(2)).await;
    assert_eq!(second.stats.attempts, 2);
    assert!(second.stats.total.unwrap() >= Duration::from_secs(1));
    // If the delay is above the timeout or the maximum, we don't retry but return the
    // response.
    for (after, timeout) in [(5, 4), (61, 600)] {
        let request = Request::get(origin.url(after)).timeout(Duration::from_secs(timeout));
        let first = outcome(&client, request).await;
        assert_eq!(first.stats.attempts, 1, "{after}");
        assert_eq!(first.response.unwrap().status, 429);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_succeed_if_the_origin_closes_idle_connections_later_than_the_pool() {
    // Just like with the defaults, we close idle connections before the origin does. On a
    // busy machine, both may be late, so there's half a second between them.
    let (kept, closed) = (Duration::from_millis(300), Duration::from_millis(800));
    let origin = RawOrigin::new(move |mut stream| async move {
        while let Ok(head) = tokio::time::timeout(closed, read_head(&mut stream)).await {
            if head.is_empty() {
                return;
            }
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
            stream.write_all(answer).await.unwrap();
        }
    })
    .await;
    let mut config = allow_loopback();
    config.origins.pool_idle_timeout = kept;
    let service = service_with(config).await;
    let client = service.client().await;
    let callers = (0..100).map(async |_| {
        for turn in 0..6 {
            let pause = if turn % 2 == 0 { 280..320 } else { 780..880 };
            let pause = rand::rng().random_range(pause);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let posted = outcome(&client, Request::new("POST", origin.url())).await;
            assert!(posted.error.is_none(), "{:?}", posted.error);
            assert_eq!(posted.stats.attempts, 1);
        }
    });
    join_all(callers).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_resolved_in_their_ascii_form() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let asking = Arc::clone(&asked);
    let dns = Dns::new(move |name| {
        asking.lock().unwrap().push(name.to_owned());
        Answer::Addresses(vec![Ipv4Addr::LOCALHOST.into()])
    })
    .await;
    let origin =
        Origin::new(|request| async move { reply(request.headers()["host"].as_bytes().to_vec()) })
            .await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    let service = service_with(config).await;
    let client = service.client().await;
    let port = origin.address.port();
    for (host, sent) in [
        ("bücher.test", "xn--bcher-kva.test"),
        ("UPPER.test", "upper.test"),
        ("under_score.test", "under_score.test"),
        ("dotted.test.", "dotted.test."),
        // Search domains aren't used.
        ("kubernetes", "kubernetes"),
    ] {
        let outcome = outcome(&client, format!("http://{host}:{port}/")).await;
        assert!(outcome.error.is_none(), "{host}: {:?}", outcome.error);
        assert_eq!(outcome.response.unwrap().body, format!("{sent}:{port}"));
        let mut asked = asked.lock().unwrap();
        let name = sent.trim_end_matches('.');
        assert!(asked.drain(..).all(|asked| asked == name), "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_in_a_location_are_dropped() {
    let origin = Origin::new(|request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        if request.uri().path() == "/landed" {
            return reply(format!("{:?}", request.headers().get("authorization")));
        }
        let mut response = reply("");
        *response.status_mut() = 302.try_into().unwrap();
        let location = format!("http://user:secret@{host}/landed#there");
        response
            .headers_mut()
            .insert("location", location.parse().unwrap());
        response
    })
    .await;
    let service = service().await;
    let outcome = outcome(&service.client().await, origin.url("")).await;
    let response = outcome.response.unwrap();
    assert_eq!(response.body, "None");
    assert_eq!(response.url.as_str(), origin.url("landed"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_written_post_is_not_retried_after_a_redirect() {
    let service = service().await;
    let client = service.client().await;
    for status in [302, 303, 307] {
        let origin = Origin::new(move |_| async move {
            let mut response = reply("");
            *response.status_mut() = status.try_into().unwrap();
            let nowhere = "http://127.0.0.1:1/".parse().unwrap();
            response.headers_mut().insert("location", nowhere);
            response
        })
        .await;
        let posted = outcome(&client, Request::post(origin.url(""), "once")).await;
        assert_eq!(posted.error.unwrap().reason(), Some(Reason::Connect));
        assert_eq!((posted.stats.attempts, origin.seen()), (1, 1), "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_transfer_coding_is_a_protocol_error() {
    let gzip = "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let gzip = RawOrigin::answering(gzip).await;
    let service = service().await;
    let unknown = row("gzip, chunked", gzip.url(), Reason::Protocol, false);
    check(&service.client().await, vec![unknown]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unsolicited_response_is_not_the_answer_to_the_next_request() {
    let (planted, mut is_planted) = tokio::sync::mpsc::unbounded_channel();
    let origin = RawOrigin::new(move |mut stream| {
        let planted = planted.clone();
        async move {
            while !read_head(&mut stream).await.is_empty() {
                let right = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nright";
                stream.write_all(right).await.unwrap();
                let wrong = b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\nplanted";
                if stream.write_all(wrong).await.is_err() {
                    return;
                }
                planted.send(()).unwrap();
            }
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    for _ in 0..100 {
        let outcome = outcome(&client, Request::new("POST", origin.url())).await;
        assert_eq!(outcome.stats.attempts, 1, "{:?}", outcome.error);
        assert_eq!(outcome.response.unwrap().body, "right");
        // On loopback, whatever was written is in the receiver's buffer by now.
        is_planted.recv().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_phases_of_a_connection_are_reported() {
    let dns = Dns::new(|_| Answer::Addresses(vec![Ipv4Addr::LOCALHOST.into()])).await;
    let authority = Authority::new();
    let acceptor = authority.acceptor("good.test");
    let encrypted = RawOrigin::new(move |stream| {
        let acceptor = acceptor.clone();
        async move {
            let mut stream = acceptor.accept(stream).await.unwrap();
            while !read_head(&mut stream).await.is_empty() {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let plain = Origin::new(|_| async { reply("hi") }).await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    config.origins.extra_roots = vec![authority.root()];
    let service = service_with(config).await;
    let client = service.client().await;

    let named = format!("https://good.test:{}/", encrypted.address.port());
    for (url, has_name, is_https) in [(named, true, true), (plain.url(""), false, false)] {
        let first = outcome(&client, &url).await;
        let stats = first.stats;
        assert!(first.error.is_none(), "{:?}", first.error);
        assert_eq!(stats.dns.is_some(), has_name, "{stats:?}");
        assert!(stats.connect.is_some() && !stats.connection_reused);
        assert_eq!(stats.tls.is_some(), is_https, "{stats:?}");
        let phases = [stats.dns, stats.connect, stats.tls].into_iter().flatten();
        assert!(phases.sum::<Duration>() <= stats.first_byte.unwrap());

        let second = outcome(&client, &url).await.stats;
        assert_eq!((second.dns, second.connect, second.tls), (None, None, None));
        assert!(second.connection_reused, "{second:?}");
    }

    // Even a failed request tells how long its completed phases took.
    let refused = outcome(
        &client,
        Request::get("https://other.test:1/").max_attempts(1),
    )
    .await;
    assert_eq!(refused.error.unwrap().reason(), Some(Reason::Connect));
    assert!(refused.stats.dns.is_some() && refused.stats.connect.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hops_before_the_last_are_reported() {
    const DELAY: Duration = Duration::from_millis(50);
    let fails = Arc::new(AtomicBool::new(true));
    let origin = Origin::new(move |request| {
        let is_named = request.uri().path() == "/fails-first";
        let fails = is_named && fails.swap(false, Ordering::SeqCst);
        async move {
            let mut reply = reply("there");
            if fails {
                tokio::time::sleep(DELAY).await;
                *reply.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            } else if request.uri().path() == "/redirects" {
                tokio::time::sleep(DELAY).await;
                *reply.status_mut() = StatusCode::FOUND;
                let location = HeaderValue::from_static("/plain");
                reply.headers_mut().insert(header::LOCATION, location);
            }
            reply
        }
    })
    .await;
    let service = service().await;
    let client = service.client().await;
    for (path, has_earlier) in [("plain", false), ("redirects", true), ("fails-first", true)] {
        let before = SystemTime::now();
        let outcome = outcome(&client, origin.url(path)).await;
        let stats = outcome.stats;
        assert_eq!(stats.earlier.is_some(), has_earlier, "{path}: {stats:?}");
        let earlier = stats.earlier.unwrap_or_default();
        assert!(!has_earlier || earlier >= DELAY, "{path}: {stats:?}");
        assert!(earlier <= stats.first_byte.unwrap(), "{path}: {stats:?}");
        assert!(outcome.ended >= before && outcome.ended <= SystemTime::now());
        assert!(outcome.ended - stats.total.unwrap() >= before);
    }
}
