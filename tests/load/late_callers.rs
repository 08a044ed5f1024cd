//! Callers that come while the service ends: each is served, or told to call
//! another.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use fetchd::proto::FetchBatchRequest;
use futures_util::future::join_all;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tonic::Status;
use tonic_types::StatusExt;

use crate::support::{
    Origin, Process,
    caller::{self, address},
    http2, patiently, raw_client, reply, requests,
};

/// What became of a call on a connection of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Met {
    Served,
    Draining,
    /// Nobody listened any more.
    Unconnected,
    Broken(String),
}

fn is_draining(status: &Status) -> bool {
    let info = status.get_details_error_info();
    status.code() == tonic::Code::Unavailable && info.is_some_and(|info| info.reason == "DRAINING")
}

/// A call by hyper on a connection of its own: what it meets is not hidden.
async fn call(url: &str, batch: &FetchBatchRequest) -> Met {
    let Ok(stream) = caller::stream(url, address(1)).await else {
        return Met::Unconnected;
    };
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut calls, connection) = match builder.handshake(TokioIo::new(stream)).await {
        Ok(opened) => opened,
        Err(error) => return Met::Broken(format!("handshake: {error:?}")),
    };
    let connection = tokio::spawn(connection);
    let call = http2::call(http2::whole(http2::message(batch)));
    let response = match calls.send_request(call).await {
        Ok(response) => response,
        Err(error) => {
            let ended = connection.await;
            return Met::Broken(format!("call: {error:?}, {ended:?}"));
        }
    };
    let early = Status::from_header_map(response.headers());
    let trailers = async {
        use http_body_util::BodyExt;
        let body = response.into_body().collect().await;
        body.map(|body| body.trailers().and_then(Status::from_header_map))
    };
    match early {
        Some(status) if is_draining(&status) => Met::Draining,
        Some(status) => Met::Broken(format!("{status:?}")),
        None => match trailers.await {
            Ok(Some(status)) if status.code() == tonic::Code::Ok => Met::Served,
            other => Met::Broken(format!("body: {other:?}")),
        },
    }
}

/// A call by tonic on a channel of its own.
async fn call_by_tonic(url: &str, batch: &FetchBatchRequest) -> Met {
    let Ok(channel) = caller::channel(url, address(1)).await else {
        return Met::Unconnected;
    };
    let mut client = fetchd::proto::fetch_service_client::FetchServiceClient::new(channel);
    let mut messages = match client.fetch_batch(batch.clone()).await {
        Ok(response) => response.into_inner(),
        Err(status) if is_draining(&status) => return Met::Draining,
        Err(status) => return Met::Broken(format!("{status:?}")),
    };
    loop {
        match messages.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Met::Served,
            Err(status) => return Met::Broken(format!("{status:?}")),
        }
    }
}

/// Ends a service while callers come without a pause, and returns how many calls
/// met what, and how long the end took.
async fn end_beside_callers(arguments: &[&str]) -> (BTreeMap<Met, usize>, Duration) {
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
    // One connection that is there all the time.
    let mut open = raw_client(&service.url).await;
    open.fetch_batch(batch.clone()).await.unwrap();
    let has_ended = Arc::new(AtomicBool::new(false));
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (url, batch) = (service.url.clone(), batch.clone());
            let has_ended = Arc::clone(&has_ended);
            tokio::spawn(async move {
                let mut met = BTreeMap::<Met, usize>::new();
                while !has_ended.load(SeqCst) {
                    let one = if caller % 2 == 0 {
                        call(&url, &batch).await
                    } else {
                        call_by_tonic(&url, &batch).await
                    };
                    let is_over = one == Met::Unconnected;
                    *met.entry(one).or_default() += 1;
                    if is_over {
                        break;
                    }
                }
                met
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(200)).await;
    service.signal("TERM");
    let begun = Instant::now();
    let status = patiently(tokio::task::spawn_blocking(|| service.wait()));
    assert_eq!(status.await.unwrap().code(), Some(0));
    let took = begun.elapsed();
    has_ended.store(true, SeqCst);
    let mut met = BTreeMap::new();
    for of_one in patiently(join_all(callers)).await {
        for (one, count) in of_one.unwrap() {
            *met.entry(one).or_default() += count;
        }
    }
    (met, took)
}

#[tokio::test(flavor = "multi_thread")]
async fn late_callers_are_served_or_told_to_call_another() {
    for arguments in [&[][..], &["--drain-delay", "400ms"]] {
        let (met, took) = end_beside_callers(arguments).await;
        println!("{arguments:?}: ended in {took:?}: {met:#?}");
        let broken = met.iter().filter(|(met, _)| matches!(met, Met::Broken(_)));
        let broken: usize = broken.map(|(_, count)| count).sum();
        // One in many thousands: h2 closes a connection that is to end when its last
        // call has, and may do so just before it writes the answer.
        assert!(broken <= 1, "{broken}");
        assert!(met[&Met::Served] > 0 && met[&Met::Draining] > 0);
        assert!(took < Duration::from_secs(3), "{took:?}");
    }
}

/// The seconds that `text` says after `name`.
fn seconds(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines();
    let value = lines.find_map(|line| line.trim().strip_prefix(name))?;
    value.trim().trim_end_matches('s').parse().ok()
}

#[test]
fn the_deployment_lets_the_service_end() {
    let read = |path| std::fs::read_to_string(format!("deploy/base/{path}")).unwrap();
    let settings = read("config.env");
    let delay = seconds(&settings, "FETCHD_DRAIN_DELAY=").unwrap();
    let own = seconds(&settings, "FETCHD_DRAIN_TIMEOUT=");
    let timeout = own.unwrap_or(fetchd::config::Config::default().drain_timeout.as_secs());
    let granted = seconds(&read("deployment.yaml"), "terminationGracePeriodSeconds:").unwrap();
    println!("{granted} s for a delay of {delay} s and a drain of {timeout} s");
    assert!(delay > 0 && granted > delay + timeout + 1);
}
