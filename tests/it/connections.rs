//! Limits on a caller's idle connections and unfinished calls.

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http2::SendRequest,
};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Process,
    caller::{self, loopback},
    http2, until, within_timeout,
};

type Waiting = JoinHandle<hyper::Result<Response<Incoming>>>;

/// Starts a health check with headers that are as large as we accept. Its message never
/// arrives.
fn check(calls: &mut SendRequest<http2::Body>) -> Waiting {
    let body = stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
    let mut call = Request::post("http://in.test/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for line in 0..14 {
        call = call.header(format!("x-{line}"), "x".repeat(1000));
    }
    let call = call.body(BodyExt::boxed(StreamBody::new(body))).unwrap();
    tokio::spawn(calls.send_request(call))
}

/// Opens a connection from 127.0.0.2 and starts `checks` health checks on it. Waits until
/// the service has received all of them.
async fn connection(
    service: &Process,
    checks: usize,
) -> (
    SendRequest<http2::Body>,
    AbortOnDropHandle<hyper::Result<()>>,
    Vec<Waiting>,
) {
    let (mut calls, connection) = caller::connect(&service.url, loopback(2)).await;
    let waiting = (0..checks).map(|_| check(&mut calls)).collect();
    let last = http2::call(http2::full_body(Bytes::from_static(&[0; 5])));
    within_timeout(calls.send_request(last)).await.unwrap();
    (calls, AbortOnDropHandle::new(connection), waiting)
}

/// Opens `count` connections with `checks` health checks each. Returns how many bytes of
/// memory a connection takes.
async fn cost(count: usize, checks: usize) -> u64 {
    let service = Process::serve(&[]);
    let _first = connection(&service, 0).await;
    let base = service.memory();
    let open: Vec<_> = stream::iter(0..count)
        .map(|_| connection(&service, checks))
        .buffered(16)
        .collect()
        .await;
    service.memory().saturating_sub(base) / open.len() as u64
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_takes_little_memory() {
    let alone = cost(300, 0).await;
    let with_checks = cost(30, 16).await;
    println!(
        "a connection: {} KiB; with 16 unfinished checks: {} KiB",
        alone >> 10,
        with_checks >> 10
    );
    assert!(alone < 64 << 10, "{alone}");
    assert!(with_checks < 700 << 10, "{with_checks}");
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_other_than_batches_are_bounded_and_shared() {
    let service = Process::serve(&["--max-connections", "100"]);
    let mut open = Vec::new();
    for _ in 0..20 {
        open.push(connection(&service, 16).await);
    }
    let refused = |open: &[(_, _, Vec<Waiting>)]| {
        let waiting = open.iter().flat_map(|(_, _, waiting)| waiting);
        waiting.filter(|call| call.is_finished()).count()
    };
    // There may be 228 of these calls. A single caller can't have more than 31 of every
    // 32.
    until(|| refused(&open) >= 320 - 221).await;
    let refused = refused(&open);
    println!("of 320 checks of one caller {refused} were refused");
    assert!(refused <= 320 - 220, "{refused}");
    let channel = caller::channel(&service.url, loopback(1)).await.unwrap();
    let mut health = HealthClient::new(channel);
    let answer = within_timeout(health.check(HealthCheckRequest::default())).await;
    assert_eq!(answer.unwrap().into_inner().status, 1);
}
