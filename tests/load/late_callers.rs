//! Calls during a shutdown. Each one must either be served, or fail with a status that
//! says the service is draining.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use fetchd::proto::FetchBatchRequest;
use futures_util::future::join_all;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::Status;
use tonic_types::StatusExt;

use crate::support::{
    Origin, Process, allow_loopback,
    caller::{self, loopback},
    http2, raw_client, reply, requests, service_with, until, within_timeout,
};

/// How a call ended. Each call uses its own connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum CallResult {
    Served,
    Draining,
    /// The connection was refused.
    Unconnected,
    Broken(String),
}

fn is_draining(status: &Status) -> bool {
    let info = status.get_details_error_info();
    status.code() == tonic::Code::Unavailable && info.is_some_and(|info| info.reason == "DRAINING")
}

/// Makes a call with hyper on a new connection. Unlike tonic, hyper doesn't hide any
/// errors from us.
async fn call(url: &str, batch: &FetchBatchRequest) -> CallResult {
    let Ok(stream) = caller::stream(url, loopback(1)).await else {
        return CallResult::Unconnected;
    };
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut calls, connection) = match builder.handshake(TokioIo::new(stream)).await {
        Ok(opened) => opened,
        Err(error) => return CallResult::Broken(format!("handshake: {error:?}")),
    };
    let connection = tokio::spawn(connection);
    let call = http2::call(http2::full_body(http2::message(batch)));
    let sent = calls.send_request(call);
    // See `call_until_closed`.
    drop(calls);
    let response = match sent.await {
        Ok(response) => response,
        Err(error) => {
            let ended = connection.await;
            return CallResult::Broken(format!("call: {error:?}, {ended:?}"));
        }
    };
    let early = Status::from_header_map(response.headers());
    let trailers = async {
        use http_body_util::BodyExt;
        let body = response.into_body().collect().await;
        body.map(|body| body.trailers().and_then(Status::from_header_map))
    };
    match early {
        Some(status) if is_draining(&status) => CallResult::Draining,
        Some(status) => CallResult::Broken(format!("{status:?}")),
        None => match trailers.await {
            Ok(Some(status)) if status.code() == tonic::Code::Ok => CallResult::Served,
            other => CallResult::Broken(format!("body: {other:?}")),
        },
    }
}

/// Makes a call with tonic on a new channel.
async fn call_by_tonic(url: &str, batch: &FetchBatchRequest) -> CallResult {
    let Ok(channel) = caller::channel(url, loopback(1)).await else {
        return CallResult::Unconnected;
    };
    let mut client = fetchd::proto::fetch_service_client::FetchServiceClient::new(channel);
    let mut messages = match client.fetch_batch(batch.clone()).await {
        Ok(response) => response.into_inner(),
        Err(status) if is_draining(&status) => return CallResult::Draining,
        Err(status) => return CallResult::Broken(format!("{status:?}")),
    };
    loop {
        match messages.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return CallResult::Served,
            Err(status) => return CallResult::Broken(format!("{status:?}")),
        }
    }
}

/// Shuts down a service while callers keep calling it without a pause. Returns how many
/// calls ended in which way, and how long the shutdown took.
async fn shut_down_under_calls(arguments: &[&str]) -> (BTreeMap<CallResult, usize>, Duration) {
    const CALLERS: usize = 12;

    let origin = Origin::new(|_| async {
        tokio::time::sleep(Duration::from_millis(5)).await;
        reply("there")
    })
    .await;
    let service = Process::serve(arguments);
    let batch = FetchBatchRequest {
        requests: requests([origin.url("")]),
        ..Default::default()
    };
    // Keep this connection open for the whole test.
    let mut open = raw_client(&service.url).await;
    open.fetch_batch(batch.clone()).await.unwrap();
    let has_ended = Arc::new(AtomicBool::new(false));
    let served = Arc::new(AtomicUsize::new(0));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (url, batch) = (service.url.clone(), batch.clone());
            let (has_ended, served) = (Arc::clone(&has_ended), Arc::clone(&served));
            tokio::spawn(async move {
                let mut results = BTreeMap::<CallResult, usize>::new();
                while !has_ended.load(SeqCst) {
                    let result = if caller % 2 == 0 {
                        call(&url, &batch).await
                    } else {
                        call_by_tonic(&url, &batch).await
                    };
                    served.fetch_add(usize::from(result == CallResult::Served), SeqCst);
                    let is_over = result == CallResult::Unconnected;
                    *results.entry(result).or_default() += 1;
                    if is_over {
                        break;
                    }
                }
                results
            })
        })
        .collect();
    // Wait until each caller has made several calls.
    until(|| served.load(SeqCst) >= 10 * CALLERS).await;
    service.signal("TERM");
    let begun = Instant::now();
    let status = within_timeout(tokio::task::spawn_blocking(|| service.wait()));
    assert_eq!(status.await.unwrap().code(), Some(0));
    let took = begun.elapsed();
    has_ended.store(true, SeqCst);
    let mut total = BTreeMap::new();
    for results in within_timeout(join_all(callers)).await {
        for (result, count) in results.unwrap() {
            *total.entry(result).or_default() += count;
        }
    }
    (total, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_during_a_shutdown_are_served_or_told_to_retry_elsewhere() {
    for arguments in [&[][..], &["--drain-delay", "400ms"]] {
        let (results, took) = shut_down_under_calls(arguments).await;
        println!("{arguments:?}: ended in {took:?}: {results:#?}");
        let is_broken = |result: &CallResult| matches!(result, CallResult::Broken(_));
        let broken: usize = results
            .iter()
            .filter(|(result, _)| is_broken(result))
            .map(|(_, count)| count)
            .sum();
        // At the end of the drain, the listener is closed. Every now and then that's just
        // when a connection arrives, and the kernel resets it. No more than one may wait then.
        assert!(broken <= 1, "{broken}");
        assert!(results[&CallResult::Served] > 0 && results[&CallResult::Draining] > 0);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

/// Makes calls on one connection until it's closed. Returns how many have succeeded, and the
/// errors of the others.
async fn call_until_closed(url: &str, batch: &FetchBatchRequest) -> (usize, Vec<String>) {
    let (mut calls, mut connection) = http2::connect(url).await;
    let (mut served, mut lost) = (0, Vec::new());
    let mut count = |result| match result {
        Ok(status) => {
            if status != Some(tonic::Code::Ok) {
                lost.push(format!("{status:?}"));
            }
            served += 1;
        }
        Err(error) if is_unsent(&error) => {}
        Err(error) => lost.push(format!("{error:?}")),
    };
    let ended = loop {
        let call = calls.send_request(http2::call(http2::full_body(http2::message(batch))));
        let mut result = pin!(async {
            let (head, body) = call.await?.into_parts();
            let body = http_body_util::BodyExt::collect(body).await?;
            let trailers = body.trailers().unwrap_or(&head.headers);
            Ok(Status::from_header_map(trailers).map(|status| status.code()))
        });
        tokio::select! {
            biased;
            ended = &mut connection => {
                // If a call is sent just as the connection ends, it can get stuck in hyper's
                // queue until the sender is dropped: tokio's channel doesn't drop a message
                // that is being added while its receiver is dropped.
                drop(calls);
                count(result.await);
                break ended.unwrap();
            }
            result = &mut result => count(result),
        }
    };
    if let Err(error) = ended {
        println!("the connection ended with {error:?}");
    }
    (served, lost)
}

/// Returns true if the call has not been processed, so that any client may send it again.
fn is_unsent(error: &hyper::Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    let is_excluded = |cause: &h2::Error| cause.is_go_away() && cause.is_remote();
    error.is_canceled() || cause.is_some_and(is_excluded)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_call_is_lost_when_its_connection_closes() {
    const CONNECTIONS: usize = 64;

    let origin = Origin::new(|_| async { reply("there") }).await;
    let batch = FetchBatchRequest {
        requests: requests([origin.url("")]),
        ..Default::default()
    };
    let rounds = std::env::var("FETCHD_TEST_ROUNDS").ok();
    let rounds = rounds.map_or(5, |rounds| rounds.parse().unwrap());
    let mut all = 0;
    for _ in 0..rounds {
        let service = service_with(allow_loopback()).await;
        let callers: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (url, batch) = (service.url.clone(), batch.clone());
                tokio::spawn(async move { call_until_closed(&url, &batch).await })
            })
            .collect();
        let before = origin.seen();
        until(|| origin.seen() > before + 10 * CONNECTIONS).await;
        service.shutdown.request();
        for result in within_timeout(join_all(callers)).await {
            let (served, lost) = result.unwrap();
            all += served;
            assert_eq!(lost, [""; 0]);
        }
    }
    println!("{all} calls on {} connections", rounds * CONNECTIONS);
}

/// Returns the seconds that follow `name` in `text`.
fn seconds(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.trim().strip_prefix(name))?;
    value.trim().trim_end_matches('s').parse().ok()
}

#[test]
fn the_deployment_grants_enough_time_for_the_shutdown() {
    let read = |path| std::fs::read_to_string(format!("deploy/base/{path}")).unwrap();
    let settings = read("config.env");
    let delay = seconds(&settings, "FETCHD_DRAIN_DELAY=").unwrap();
    let default = fetchd::config::Config::default().drain_timeout.as_secs();
    let timeout = seconds(&settings, "FETCHD_DRAIN_TIMEOUT=").unwrap_or(default);
    let granted = seconds(&read("deployment.yaml"), "terminationGracePeriodSeconds:").unwrap();
    println!("{granted} s for a delay of {delay} s and a drain of {timeout} s");
    assert!(delay > 0 && granted > delay + timeout + 1);
}
