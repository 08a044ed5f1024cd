//! Shutdown: the service ends in time, and a caller that's still reading doesn't lose any
//! results.

use std::{
    collections::BTreeMap,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fetchd::proto::{FetchBatchRequest, Reason};
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Origin, Process, TEST_TIMEOUT, allow_loopback, eventually, http2, metrics,
    namespace::{self, Network},
    raw_client, reply, requests, service, service_with, until, within_timeout,
};

/// A connection that would like to delay the shutdown but must not.
#[derive(Debug, Clone, Copy)]
enum Obstacle {
    SilentConnection,
    StalledReader,
    HealthWatch,
}

async fn health(url: &str) -> HealthClient<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).unwrap();
    HealthClient::new(endpoint.connect().await.unwrap())
}

/// Shuts down a service with 1,000 open requests and the given `obstacle`. Checks that it
/// exits in time.
async fn exits_in_time(obstacle: Obstacle) {
    let origin = Origin::new(|request| async move {
        match request.uri().path() {
            "/large" => reply(vec![b'x'; 8 << 20]),
            "/quick" => reply("there"),
            _ => std::future::pending().await,
        }
    })
    .await;
    let service = Process::serve(&["--drain-timeout", "2s"]);
    let urls = (0..1000).map(|index| origin.url(if index % 10 == 0 { "quick" } else { "" }));
    let batch = FetchBatchRequest {
        requests: requests(urls),
        concurrency: 512,
        ..Default::default()
    };
    let mut client = raw_client(&service.url).await;
    let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let open = tokio::spawn(async move {
        let mut ends = BTreeMap::new();
        while let Some(message) = messages.message().await.unwrap() {
            for part in message.parts {
                if let Some(end) = part.end {
                    assert!(
                        ends.insert(part.index, end).is_none(),
                        "request {} ended twice",
                        part.index
                    );
                }
            }
        }
        ends
    });
    // Don't drop these before the service has exited.
    let mut held: Vec<Box<dyn Send>> = Vec::new();
    match obstacle {
        Obstacle::SilentConnection => {
            held.push(Box::new(
                TcpStream::connect(service.address()).await.unwrap(),
            ));
        }
        Obstacle::StalledReader => {
            let batch = FetchBatchRequest {
                requests: requests(vec![origin.url("large"); 20]),
                ..Default::default()
            };
            let mut client = raw_client(&service.url).await;
            held.push(Box::new(client.fetch_batch(batch).await.unwrap()));
        }
        Obstacle::HealthWatch => {
            let mut client = health(&service.url).await;
            let watch = client.watch(HealthCheckRequest::default()).await.unwrap();
            held.push(Box::new(watch));
        }
    }
    until(|| origin.in_flight() >= 512).await;

    service.signal("TERM");
    let begun = Instant::now();
    let admin = service.admin.clone();
    within_timeout(async { while metrics::get(&admin, "/readyz").await.0 != 503 {} }).await;
    assert_eq!(metrics::get(&admin, "/healthz").await.0, 200);
    let ended = tokio::task::spawn_blocking(|| service.wait());
    let ends = within_timeout(open).await.unwrap();
    let status = within_timeout(ended).await.unwrap();
    let took = begun.elapsed();
    println!("{obstacle:?}: {took:?}");
    assert_eq!(ends.len(), 1000);
    for (index, end) in &ends {
        let reason = end.error.as_ref().map(|error| error.reason());
        let is_quick = index % 10 == 0 && reason.is_none();
        assert!(is_quick || reason == Some(Reason::ShuttingDown), "{end:?}");
    }
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(3), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_connection_delays_the_shutdown() {
    let [silent, stalled, watching] = [
        Obstacle::SilentConnection,
        Obstacle::StalledReader,
        Obstacle::HealthWatch,
    ]
    .map(exits_in_time);
    tokio::join!(silent, stalled, watching);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_are_accepted_during_the_drain_delay() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let mut config = allow_loopback();
    config.drain_delay = TEST_TIMEOUT;
    let service = service_with(config).await;
    service.shutdown.request();
    // The service says that it isn't serving, but it still accepts connections.
    let mut asking = health(&service.url).await;
    eventually(async || {
        let request = HealthCheckRequest {
            service: "fetchd.v1.FetchService".to_owned(),
        };
        asking.check(request).await.unwrap().into_inner().status == 2
    })
    .await;
    let client = service.client().await;
    assert!(client.fetch_all([origin.url("")]).await[0].is_ok());
    // If shutdown is requested a second time, the delay ends.
    service.shutdown.request();
    drop((client, asking));
    until(|| service.serving.is_finished()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unfinished_message_is_refused_when_the_drain_begins() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = service().await;
    let batch = FetchBatchRequest {
        requests: requests(vec![origin.url(""); 1000]),
        ..Default::default()
    };
    let half = http2::message(&batch).slice(..1000);
    let rest = stream::pending::<Result<Frame<Bytes>, std::io::Error>>();
    let body = stream::iter([Ok(Frame::data(half))]).chain(rest);
    let (mut calls, _connection) = http2::connect(&service.url).await;
    let (begun, uploading) = tokio::sync::oneshot::channel();
    let mut begun = Some(begun);
    let body = body.inspect(move |_| {
        begun.take().map(|begun| begun.send(()));
    });
    let call = calls.send_request(http2::call(BodyExt::boxed(StreamBody::new(Box::pin(body)))));
    let answer = tokio::spawn(call);
    within_timeout(uploading).await.unwrap();
    service.shutdown.request();
    let response = within_timeout(answer).await.unwrap().unwrap();
    let details = response.headers().get("grpc-status-details-bin").cloned();
    let (code, message) = http2::status(response).await;
    assert_eq!(code, "14", "{message}");
    assert!(
        message.contains("nothing%20was%20dispatched")
            || message.contains("nothing was dispatched"),
        "{message}"
    );
    assert!(details.is_some());
    assert_eq!(origin.seen(), 0);
}

/// Reads a body that the service has sent just before it closed the connection. While the
/// caller reads, it sends a ping and window updates, which the service has no use for.
#[tokio::test(flavor = "multi_thread")]
async fn a_caller_gets_the_rest_of_a_closed_connection() {
    const BODY: usize = 200 << 10;

    let (origin, gate) = large_gated_origin(BODY).await;
    let service = service().await;
    // Most of the body stays on the side of the service until the caller reads.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8 << 10).unwrap();
    let address = service.url.trim_start_matches("http://").parse().unwrap();
    let stream = socket.connect(address).await.unwrap();
    let mut builder = h2::client::Builder::new();
    builder
        .initial_window_size(256 << 10)
        .initial_connection_window_size(256 << 10);
    // The connection reads and writes only while we poll it.
    let (mut calls, mut connection) = builder.handshake(stream).await.unwrap();
    let mut pings = connection.ping_pong().unwrap();
    let batch = FetchBatchRequest {
        requests: requests([origin.url("")]),
        ..Default::default()
    };
    let (head, _) = http2::call(http2::full_body(Bytes::new())).into_parts();
    let call = http::Request::from_parts(head, ());
    let (response, mut message) = calls.send_request(call, false).unwrap();
    message.send_data(http2::message(&batch), true).unwrap();
    let response = tokio::select! {
        response = response => response.unwrap(),
        ended = &mut connection => panic!("{ended:?}"),
    };
    until(|| origin.in_flight() == 1).await;
    service.shutdown.request();
    let goes_away = async {
        while calls.clone().ready().await.is_ok() {
            tokio::task::yield_now().await;
        }
        // Without this, the service might not have closed the connection when we read, and
        // we'd test nothing. It needs the answer to its ping first.
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    tokio::select! {
        () = within_timeout(goes_away) => {}
        ended = &mut connection => panic!("{ended:?}"),
    }
    gate.add_permits(1);
    until(|| origin.in_flight() == 0).await;
    // The service writes the body and closes the connection.
    tokio::time::sleep(Duration::from_millis(100)).await;
    // Many clients send pings while they read, to measure the bandwidth.
    pings.send_ping(h2::Ping::opaque()).unwrap();
    drop(calls);
    let mut body = response.into_body();
    let read = async {
        let mut length = 0;
        while let Some(data) = body.data().await {
            let data = data.unwrap();
            length += data.len();
            body.flow_control().release_capacity(data.len()).unwrap();
        }
        (length, body.trailers().await.unwrap().unwrap())
    };
    let ((length, trailers), _) = within_timeout(async { tokio::join!(read, connection) }).await;
    assert!(length > BODY, "{length}");
    assert_eq!(trailers["grpc-status"], "0");
}

/// Starts an origin that needs a permit to answer. Its bodies have this `size`.
async fn large_gated_origin(size: usize) -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let permits = Arc::clone(&gate);
    let origin = Origin::new(move |_| {
        let gate = Arc::clone(&permits);
        async move {
            let _ = gate.acquire().await;
            reply(vec![b'x'; size])
        }
    });
    (origin.await, gate)
}

#[test]
fn the_fetches_of_a_vanished_caller_are_stopped() {
    if namespace::enter("drain::the_fetches_of_a_vanished_caller_are_stopped", "")
        != Some(Network::Isolated)
    {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let origin = Origin::new(|_| std::future::pending()).await;
        let mut config = allow_loopback();
        config.limits.keepalive_interval = Duration::from_millis(200);
        config.limits.keepalive_timeout = Duration::from_millis(200);
        let service = service_with(config).await;
        // Give the caller an address of its own, so that we can remove the route to it
        // later.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("10.7.7.7:0".parse().unwrap()).unwrap();
        let address = service.url.trim_start_matches("http://").parse().unwrap();
        let stream = TokioIo::new(socket.connect(address).await.unwrap());
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let (mut calls, connection) = builder.handshake(stream).await.unwrap();
        let _connection = tokio::spawn(connection);
        let batch = FetchBatchRequest {
            requests: requests(vec![origin.url(""); 50]),
            ..Default::default()
        };
        let call = http2::call(http2::full_body(http2::message(&batch)));
        let _response = within_timeout(calls.send_request(call)).await.unwrap();
        until(|| origin.in_flight() == 50).await;
        let dropped = Command::new("ip")
            .args(["route", "add", "blackhole", "10.7.7.7/32", "table", "local"])
            .status()
            .unwrap();
        assert!(dropped.success());
        let begun = Instant::now();
        until(|| origin.in_flight() == 0).await;
        let took = begun.elapsed();
        println!("noticed after {took:?}");
        assert!(took < Duration::from_secs(2), "{took:?}");
    });
}
