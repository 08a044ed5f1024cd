//! Origins that misbehave on an open connection: they stay silent, disconnect or send
//! invalid HTTP.

use std::time::Duration;

use fetchd::{
    client::{Outcome, Request},
    proto::Reason,
};
use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use crate::support::{
    RawOrigin, TEST_TIMEOUT, check, fill_backlog, read_head, reset, row, service, short_backlog,
    within_timeout,
};

const SHORT: Duration = Duration::from_millis(200);
const PAUSE: Duration = Duration::from_millis(20);

/// Starts an origin that resets the connection after writing `answer`.
async fn resetting(answer: &'static [u8]) -> RawOrigin {
    RawOrigin::new(move |mut stream| async move {
        read_head(&mut stream).await;
        // On loopback, the receiver has these bytes in its buffer by the time this
        // returns. A reset won't discard them.
        stream.write_all(answer).await.unwrap();
        reset(stream);
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_slow_origins_time_out() {
    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
    let endless = RawOrigin::endless;
    let never = Duration::from_secs(3600);
    let silent = endless(b"", b"", never).await;
    let half = endless(b"HTTP/1.1 200 OK\r\ncontent-le", b"", never).await;
    let slow_head = endless(b"HTTP/1.1 200 OK\r\nx: ", b"x", PAUSE).await;
    let informing = endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n", PAUSE).await;
    let stopped = endless(HEAD, b"", never).await;
    let dripping = endless(HEAD, b"x", PAUSE).await;

    let idle = |origin: &RawOrigin| Request::get(origin.url()).idle_timeout(SHORT);
    let total = |origin: &RawOrigin| Request::get(origin.url()).timeout(SHORT);
    // After `timeout` there isn't any time left for a second attempt.
    let once = |name, request| {
        let mut row = row(name, request, Reason::Timeout, true);
        row.attempts = 1;
        row
    };
    let service = service().await;
    let outcomes = check(
        &service.client().await,
        vec![
            row("says nothing", idle(&silent), Reason::Timeout, true),
            row("half a head", idle(&half), Reason::Timeout, true),
            row(
                "a byte of head at a time",
                idle(&slow_head),
                Reason::Timeout,
                true,
            ),
            row("endless 1xx", idle(&informing), Reason::Timeout, true),
            row("stops in the body", idle(&stopped), Reason::Timeout, true),
            once("says nothing, in all", total(&silent)),
            once("a byte of head at a time, in all", total(&slow_head)),
            once(
                "a byte of body at a time",
                total(&dripping).idle_timeout(SHORT),
            ),
        ],
    )
    .await;
    for (index, outcome) in outcomes.iter().enumerate() {
        let message = outcome.error.as_ref().unwrap().to_string();
        let clock = if index < 5 { "idle_timeout" } else { "timeout" };
        assert!(
            message.starts_with(&format!("{clock} of 200ms passed")),
            "{message}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_connections_are_disconnects() {
    let closing = RawOrigin::answering("").await;
    let in_head = RawOrigin::answering("HTTP/1.1 200 OK\r\ncontent-len").await;
    let in_body = RawOrigin::answering("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await;
    let reset_body = resetting(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345").await;
    let reset_head = resetting(b"HTTP/1.1 200 OK\r\n").await;
    let no_last_chunk = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n";
    let no_last_chunk = RawOrigin::answering(no_last_chunk).await;

    let service = service().await;
    let outcomes = check(
        &service.client().await,
        vec![
            row("without a byte", closing.url(), Reason::Disconnected, true),
            row("in the head", in_head.url(), Reason::Disconnected, true),
            row(
                "reset in the head",
                reset_head.url(),
                Reason::Disconnected,
                true,
            ),
            row("in the body", in_body.url(), Reason::Disconnected, true),
            row(
                "reset in the body",
                reset_body.url(),
                Reason::Disconnected,
                true,
            ),
            row(
                "no last chunk",
                no_last_chunk.url(),
                Reason::Disconnected,
                true,
            ),
        ],
    )
    .await;
    // Along with the error, the caller gets the part of the body that we've received.
    for outcome in &outcomes[3..] {
        let response = outcome.response.as_ref().unwrap();
        assert_eq!(
            (response.status.as_u16(), &response.body[..]),
            (200, &b"12345"[..])
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_http_is_a_protocol_error() {
    let answering = RawOrigin::answering;
    let large_head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(10 << 20));
    let many_lines = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(10_000));
    let origins = [
        ("an SSH banner", answering("SSH-2.0-OpenSSH_9.9\r\n").await),
        (
            "not HTTP",
            answering("\0\x01\x02 what is this\r\n\r\n").await,
        ),
        (
            "a bad status line",
            answering("HTTP/1.1 two hundred\r\n\r\n").await,
        ),
        (
            "two lengths",
            answering("HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx").await,
        ),
        (
            "a bad chunk size",
            answering("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nxx\r\n").await,
        ),
        ("a head of 10 MB", answering(large_head.as_str()).await),
        ("10,000 header lines", answering(many_lines.as_str()).await),
        (
            "an unsolicited 101",
            answering(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
            )
            .await,
        ),
    ];
    let service = service().await;
    let rows = origins
        .iter()
        .map(|(name, origin)| row(name, origin.url(), Reason::Protocol, false));
    check(&service.client().await, rows.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partly_forwarded_body_is_not_fetched_again() {
    const SENT: usize = 200 << 10;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", SENT * 2);
    let origin = RawOrigin::answering(head + &"x".repeat(SENT)).await;
    let service = service().await;
    let mut cut = row(
        "cut after three parts",
        origin.url(),
        Reason::Disconnected,
        true,
    );
    cut.attempts = 1;
    let outcomes = check(&service.client().await, vec![cut]).await;
    assert_eq!(outcomes[0].response.as_ref().unwrap().body.len(), SENT);
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_timeout_starts_once_connected() {
    // There's no answer to the first SYN, and it takes the kernel a second to send
    // another one.
    let listener = short_backlog();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let origin = tokio::spawn(async move {
        let filling = fill_backlog(&listener).await;
        tokio::time::sleep(SHORT * 2).await;
        for _ in 0..filling.len() {
            listener.accept().await.unwrap();
        }
        let (mut stream, _) = listener.accept().await.unwrap();
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi";
        stream.write_all(answer).await.unwrap();
    });
    let service = service().await;
    let client = service.client().await;
    let request = Request::get(&url)
        .idle_timeout(SHORT)
        .connect_timeout(TEST_TIMEOUT)
        .max_attempts(1);
    let outcomes = client.fetch([request]).outcomes().collect();
    let outcomes: Vec<Outcome> = within_timeout(outcomes).await;
    assert!(outcomes[0].error.is_none(), "{:?}", outcomes[0].error);
    assert!(outcomes[0].stats.total.unwrap() > SHORT * 2);
    origin.await.unwrap();
}
