//! `fetchd health`, run against services and against everything else.

use std::{convert::Infallible, process::Output};

use http::Response;
use http_body_util::Empty;
use hyper::{body::Bytes, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Authority, Origin, Process, RawOrigin, command::fetchd, eventually, finish, metrics::get,
    reply, reset,
};

async fn health(server: &str, timeout: &str) -> Output {
    fetchd(&["health", "--server", server, "--timeout", timeout], "").await
}

/// Checks a server that's no healthy service. Returns the message.
async fn problem(address: impl std::fmt::Display, timeout: &str) -> String {
    let server = format!("http://{address}");
    let output = health(&server, timeout).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let message = String::from_utf8(output.stderr).unwrap();
    let message = message.strip_suffix('\n').unwrap();
    assert_eq!(message.lines().count(), 1, "{message}");
    let prefix = format!("error: {server}: ");
    message.strip_prefix(&prefix).unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_is_healthy_until_it_drains() {
    let service = Process::serve(&["--drain-delay", "1m"]);
    let output = health(&service.url, "30s").await;
    assert_eq!(output.status.code(), Some(0));
    let expected = format!("fetchd.v1.FetchService at {} is SERVING\n", service.url);
    assert_eq!(String::from_utf8(output.stdout).unwrap(), expected);

    service.signal("TERM");
    eventually(async || get(&service.admin, "/readyz").await.0 == 503).await;
    let message = problem(service.address(), "30s").await;
    assert_eq!(message, "fetchd.v1.FetchService is NOT_SERVING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_port_is_named() {
    let message = problem("127.0.0.1:1", "30s").await;
    assert!(
        message.starts_with("cannot connect to 127.0.0.1:1: Connection refused"),
        "{message}"
    );
    let message = problem("localhost:1", "30s").await;
    assert!(
        message.contains("127.0.0.1:1: Connection refused"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_no_grpc_service_is_recognized() {
    let expected =
        |found: &str| format!("expected a gRPC service (HTTP/2 without TLS), got {found}");
    // This one answers HTTP/1.1 only, and closes the connection on anything else.
    let strict = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&[]);
    let lenient =
        RawOrigin::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    for address in [
        strict.address.to_string(),
        service.admin.clone(),
        lenient.address.to_string(),
    ] {
        assert_eq!(
            problem(address, "30s").await,
            expected("an HTTP/1.1 server")
        );
    }
    let encrypted = RawOrigin::encrypted(Authority::new().acceptor("localhost")).await;
    assert_eq!(
        problem(encrypted.address, "30s").await,
        expected("a TLS server; use https://")
    );
    let ssh = RawOrigin::new(|mut stream| async move {
        stream.write_all(b"SSH-2.0-OpenSSH\r\n").await.unwrap();
        finish(stream).await;
    })
    .await;
    assert_eq!(
        problem(ssh.address, "30s").await,
        expected("a server that speaks neither HTTP nor TLS")
    );
    let closing = RawOrigin::new(|stream| async { drop(stream) }).await;
    let resetting = RawOrigin::new(|mut stream| async {
        // Without this, it could look as if the connection hadn't been accepted at all.
        let _ = stream.read_u8().await;
        reset(stream);
    })
    .await;
    for address in [closing.address, resetting.address] {
        assert_eq!(
            problem(address, "30s").await,
            expected("a server that closes the connection without an answer")
        );
    }
    let silent = RawOrigin::new(|stream| async {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    assert_eq!(
        problem(silent.address, "200ms").await,
        expected("no answer within 200ms")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_server_without_health_checks_is_recognized() {
    let web = RawOrigin::new(|stream| async {
        let not_found = service_fn(|_| async {
            let mut response = Response::new(Empty::<Bytes>::new());
            *response.status_mut() = http::StatusCode::NOT_FOUND;
            Ok::<_, Infallible>(response)
        });
        let http = http2::Builder::new(TokioExecutor::new());
        let _ = http.serve_connection(TokioIo::new(stream), not_found).await;
    })
    .await;
    assert_eq!(
        problem(web.address, "30s").await,
        "expected a gRPC service with health checks, got a server without them"
    );
    let silent = RawOrigin::new(|stream| async {
        let silent =
            service_fn(|_| std::future::pending::<Result<Response<Empty<Bytes>>, Infallible>>());
        let http = http2::Builder::new(TokioExecutor::new());
        let _ = http.serve_connection(TokioIo::new(stream), silent).await;
    })
    .await;
    assert_eq!(problem(silent.address, "1s").await, "no answer within 1s");
}
