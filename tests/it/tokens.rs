//! Calls with and without tokens.

use std::{fs, os::unix::fs::FileExt, process::Command};

use bytes::Bytes;
use fetchd::proto::{
    FetchBatchRequest, FetchBatchResponse, fetch_service_client::FetchServiceClient,
};
use futures_util::stream;
use http_body_util::{StreamBody, combinators::BoxBody};
use hyper::body::Frame;
use tempfile::TempDir;
use tonic::{
    Code, Request, Status, Streaming,
    metadata::{Ascii, MetadataValue},
    transport::Channel,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest,
};
use tonic_types::StatusExt;

use crate::support::{
    Origin, Process, caller,
    command::{fetchd_with, stderr},
    eventually, gated_origin, http2,
    metrics::metrics,
    reply, requests, until, within_timeout,
};

const TOKEN: &str = "Bearer hunter2-web";

/// A service with tokens.
struct Guarded {
    service: Process,
    folder: TempDir,
}

impl Guarded {
    fn start(tokens: &str, arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tokens");
        fs::write(&path, tokens).unwrap();
        let mut flags = vec!["--auth-token-file", path.to_str().unwrap()];
        flags.extend(arguments);
        let service = Process::serve_with(&flags, &[("RUST_LOG", "trace")]);
        Self { service, folder }
    }

    async fn channel(&self) -> Channel {
        caller::channel(&self.service.url, caller::loopback(1))
            .await
            .unwrap()
    }

    /// Fetches the URL, as the caller with this token.
    async fn fetch(&self, token: Option<&str>, url: &str) -> Result<(), Status> {
        let mut results = begin(self.channel().await, token, url).await?;
        while within_timeout(results.message()).await?.is_some() {}
        Ok(())
    }

    async fn metric(&self, name: &str) -> Option<f64> {
        metrics(&self.service.admin).await.get(name).copied()
    }
}

fn with_token<T>(message: T, token: Option<&str>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        let value: MetadataValue<Ascii> = token.parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

/// Begins a batch of one URL, as the caller with this token.
async fn begin(
    channel: Channel,
    token: Option<&str>,
    url: &str,
) -> Result<Streaming<FetchBatchResponse>, Status> {
    let batch = FetchBatchRequest {
        requests: requests([url]),
        ..Default::default()
    };
    let mut client = FetchServiceClient::new(channel);
    let response = within_timeout(client.fetch_batch(with_token(batch, token))).await?;
    Ok(response.into_inner())
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_need_a_token_and_health_checks_do_not() {
    let origin = Origin::new(|_| async { reply("body") }).await;
    let guarded = Guarded::start("web hunter2-web\n# old\nweb hunter2-old\n", &[]);
    for token in [TOKEN, "bearer hunter2-web", "Bearer hunter2-old"] {
        guarded.fetch(Some(token), &origin.url("/")).await.unwrap();
    }
    for token in [
        None,
        Some("Bearer hunter2"),
        Some("Basic hunter2-web"),
        Some("hunter2-web"),
    ] {
        let status = guarded.fetch(token, &origin.url("/")).await.unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated, "{token:?}");
        assert!(status.message().contains("Bearer TOKEN"), "{status}");
        let reflected = reflect(guarded.channel().await, token).await;
        assert_eq!(reflected.unwrap_err().code(), Code::Unauthenticated);
        check_health(guarded.channel().await).await.unwrap();
    }
    reflect(guarded.channel().await, Some(TOKEN)).await.unwrap();
    assert_eq!(origin.seen(), 3);
    for (metric, value) in [
        ("fetchd_batches_total{code=\"UNAUTHENTICATED\"}", 4.0),
        ("fetchd_caller_batches_total{caller=\"web\"}", 3.0),
        ("fetchd_caller_fetches_total{caller=\"web\"}", 3.0),
        ("fetchd_caller_body_bytes_total{caller=\"web\"}", 12.0),
        ("fetchd_caller_refused_total{caller=\"web\"}", 0.0),
    ] {
        eventually(async || guarded.metric(metric).await == Some(value)).await;
    }
    let log = guarded.service.into_log().join("\n");
    assert!(!log.contains("hunter2"), "{log}");
    let ended = log.lines().filter(|line| line.contains("batch ended"));
    let callers = ended.filter(|line| line.contains(r#""caller":"web""#));
    assert_eq!(callers.count(), 3, "{log}");
}

async fn reflect(channel: Channel, token: Option<&str>) -> Result<(), Status> {
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let list = with_token(stream::iter([list]), token);
    let mut client = ServerReflectionClient::new(channel);
    let response = within_timeout(client.server_reflection_info(list)).await?;
    let message = within_timeout(response.into_inner().message()).await?;
    message
        .map(drop)
        .ok_or_else(|| Status::internal("no answer"))
}

async fn check_health(channel: Channel) -> Result<(), Status> {
    let request = HealthCheckRequest {
        service: "fetchd.v1.FetchService".to_owned(),
    };
    within_timeout(HealthClient::new(channel).check(request)).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn message_of_a_stranger_is_not_read() {
    let guarded = Guarded::start("web hunter2-web", &[]);
    let (mut sender, _connection) = http2::connect(&guarded.service.url).await;
    let never = StreamBody::new(stream::pending::<std::io::Result<Frame<Bytes>>>());
    for body in [
        // Can't be decoded.
        http2::full_body(vec![0xff; 64]),
        // Is larger than any message may be.
        http2::full_body(&b"\0\xff\xff\xff\xff"[..]),
        // Never arrives.
        BoxBody::new(never),
    ] {
        let response = within_timeout(sender.send_request(http2::call(body))).await;
        let (code, _) = http2::status(response.unwrap()).await;
        assert_eq!(code, "16");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_replaced_while_the_service_runs() {
    let guarded = Guarded::start("web hunter2-web", &[]);
    let path = guarded.folder.path().join("tokens");
    let is_accepted = async |token: &str| {
        let bearer = format!("Bearer {token}");
        guarded
            .fetch(Some(&bearer), "http://in.valid./")
            .await
            .is_ok()
    };
    assert!(is_accepted("hunter2-web").await && !is_accepted("hunter2-new").await);
    // Nothing in the new file can be used.
    fs::write(&path, "hunter2").unwrap();
    let failed = "fetchd_auth_reloads_total{result=\"error\"}";
    eventually(async || guarded.metric(failed).await == Some(1.0)).await;
    assert!(is_accepted("hunter2-web").await);
    fs::write(&path, "batch hunter2-new").unwrap();
    eventually(async || is_accepted("hunter2-new").await).await;
    assert!(!is_accepted("hunter2-web").await);
    let of = |name| format!("fetchd_caller_batches_total{{caller=\"{name}\"}}");
    assert_eq!(guarded.metric(&of("web")).await, None);
    assert!(guarded.metric(&of("batch")).await.is_some());
    let log = guarded.service.into_log().join("\n");
    assert!(
        log.contains("in line 1") && !log.contains("hunter2"),
        "{log}"
    );
}

/// Returns whether `bytes` are anywhere in the memory of the process that can be written to.
fn memory_has(process: u32, bytes: &[u8]) -> bool {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{process}/mem")).unwrap();
    maps.lines()
        .filter(|line| line.contains(" rw"))
        .any(|line| {
            let (begin, end) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
            let address = |hex| u64::from_str_radix(hex, 16).unwrap();
            let length = address(end) - address(begin);
            let mut content = vec![0; usize::try_from(length).unwrap()];
            let read = memory.read_exact_at(&mut content, address(begin));
            read.is_ok() && content.windows(bytes.len()).any(|window| window == bytes)
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_do_not_stay_in_memory() {
    let guarded = Guarded::start("name-of-the-web hunter2-unused\n", &[]);
    let has = |text: &str| memory_has(guarded.service.id(), text.as_bytes());
    assert!(has("name-of-the-web"));
    // It's there for a moment whenever the file is read.
    until(|| !has("hunter2-unused")).await;
    let path = guarded.folder.path().join("tokens");
    fs::write(path, "name-of-the-web hunter2-other\n").unwrap();
    let reloads = "fetchd_auth_reloads_total{result=\"ok\"}";
    eventually(async || guarded.metric(reloads).await == Some(1.0)).await;
    until(|| !has("hunter2-other")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn setting_without_a_value_does_not_open_the_service() {
    for (flag, variable) in [
        ("--auth-token-file", "FETCHD_AUTH_TOKEN_FILE"),
        ("--tls-client-ca", "FETCHD_TLS_CLIENT_CA"),
        ("--tls-cert", "FETCHD_TLS_CERT"),
        ("--tls-key", "FETCHD_TLS_KEY"),
    ] {
        for (arguments, variables) in [
            (&["serve", flag, ""][..], &[][..]),
            (&["serve"], &[(variable, "")]),
        ] {
            let output = fetchd_with(arguments, variables).await;
            assert_eq!(output.status.code(), Some(2), "{arguments:?}");
            let error = stderr(&output);
            assert!(error.contains(flag), "{error}");
            assert!(error.contains("expected a file"), "{error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stranger_is_told_so_even_if_its_connection_is_full() {
    let guarded = Guarded::start("web hunter2-web\n", &[]);
    let channel = guarded.channel().await;
    // There may be 16 calls on a connection that aren't batches.
    let mut watches = Vec::new();
    for _ in 0..16 {
        let mut client = HealthClient::new(channel.clone());
        let watch = client.watch(HealthCheckRequest::default());
        watches.push(within_timeout(watch).await.unwrap());
    }
    assert!(check_health(channel.clone()).await.is_err());
    let status = begin(channel, None, "http://127.0.0.1/").await.unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated, "{status}");
    let refused = guarded
        .metric("fetchd_batches_total{code=\"UNAUTHENTICATED\"}")
        .await;
    assert_eq!(refused, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn pipe_in_place_of_the_file_is_not_read() {
    let guarded = Guarded::start("web hunter2-web\n", &[]);
    let path = guarded.folder.path().join("tokens");
    fs::remove_file(&path).unwrap();
    let made = Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());
    // Reading it would take forever, since nobody writes.
    let failed = "fetchd_auth_reloads_total{result=\"error\"}";
    eventually(async || guarded.metric(failed).await == Some(1.0)).await;
    fs::remove_file(&path).unwrap();
    fs::write(&path, "web hunter2-new\n").unwrap();
    let read = "fetchd_auth_reloads_total{result=\"ok\"}";
    eventually(async || guarded.metric(read).await == Some(1.0)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_has_a_limit_of_its_own() {
    let (origin, _gate) = gated_origin().await;
    let guarded = Guarded::start(
        "web hunter2-web\nbatch hunter2-batch",
        &["--max-batches-per-caller", "2"],
    );
    let url = origin.url("/");
    let (web, batch) = (Some(TOKEN), Some("Bearer hunter2-batch"));
    let held = || fetch_from(1, &guarded, web, &url);
    let (first, second) = (held().await, held().await);
    until(|| origin.in_flight() == 2).await;
    // The caller is the same, whatever its address.
    let status = fetch_from(2, &guarded, web, &url).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(
        status.message().contains("--max-batches-per-caller"),
        "{status}"
    );
    assert!(status.get_details_retry_info().is_some());
    let _other = fetch_from(1, &guarded, batch, &url).await.unwrap();
    let refused = "fetchd_caller_refused_total{caller=\"web\"}";
    assert_eq!(guarded.metric(refused).await, Some(1.0));
    drop((first, second));
    eventually(async || fetch_from(2, &guarded, web, &url).await.is_ok()).await;
}

/// Begins a batch from 127.0.0.`last`, and returns the stream of its results.
async fn fetch_from(
    last: u8,
    guarded: &Guarded,
    token: Option<&str>,
    url: &str,
) -> Result<Streaming<FetchBatchResponse>, Status> {
    let address = caller::loopback(last);
    let channel = caller::channel(&guarded.service.url, address).await;
    begin(channel.unwrap(), token, url).await
}
