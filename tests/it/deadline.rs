//! Deadlines of batches and calls. Every request has a result before the deadline, and
//! the call ends with OK. The same is true for a shutdown.

use std::{
    error::Error,
    time::{Duration, Instant},
};

use fetchd::proto::{FetchBatchRequest, FetchBatchResponse, Reason};
use tonic::{Code, Request, Streaming};
use tonic_types::StatusExt;

use crate::support::{Origin, reply, requests, service, within_timeout};

/// Starts an origin that answers right away, except for `/never`.
async fn origin() -> Origin {
    Origin::new(|request| async move {
        if request.uri().path() == "/never" {
            std::future::pending::<()>().await;
        }
        reply("there")
    })
    .await
}

/// Returns a batch of twenty requests. Every other one is never answered.
fn half_answered(origin: &Origin) -> FetchBatchRequest {
    let paths = (0..20).map(|index| if index % 2 == 0 { "fast" } else { "never" });
    FetchBatchRequest {
        requests: requests(paths.map(|path| origin.url(path))),
        ..Default::default()
    }
}

/// For each request that has ended: its index, and the reason if it failed.
type Ends = Vec<(u32, Option<Reason>)>;

/// Reads until `count` requests have ended.
async fn some_ends(messages: &mut Streaming<FetchBatchResponse>, count: usize) -> Ends {
    let mut ends = Vec::new();
    while ends.len() < count {
        let message = within_timeout(messages.message()).await.unwrap().unwrap();
        ends.extend(message.parts.into_iter().filter_map(|part| {
            let error = part.end?.error;
            Some((part.index, error.map(|error| error.reason())))
        }));
    }
    ends
}

/// Returns each request's reason. The call itself has to end with OK.
async fn ends(mut messages: Streaming<FetchBatchResponse>, count: usize) -> Vec<Option<Reason>> {
    let ends = some_ends(&mut messages, count).await;
    assert_eq!(within_timeout(messages.message()).await.unwrap(), None);
    in_order(ends)
}

fn in_order(mut ends: Ends) -> Vec<Option<Reason>> {
    ends.sort_by_key(|(index, _)| *index);
    assert!(
        ends.iter()
            .zip(0..)
            .all(|((index, _), place)| *index == place),
        "each request must end once"
    );
    ends.into_iter().map(|(_, reason)| reason).collect()
}

fn expected(late: Reason) -> Vec<Option<Reason>> {
    (0..20)
        .map(|index| (index % 2 == 1).then_some(late))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_ok_before_its_deadline() {
    let origin = origin().await;
    let service = service().await;
    let mut client = service.raw_client().await;
    let mut call = Request::new(half_answered(&origin));
    let timeout = Duration::from_secs(2);
    call.set_timeout(timeout);
    let started = Instant::now();
    let messages = client.fetch_batch(call).await.unwrap().into_inner();
    assert_eq!(ends(messages, 20).await, expected(Reason::BatchDeadline));
    // We keep a tenth of the time for sending the last results.
    assert!(started.elapsed() >= timeout * 9 / 10);
    assert!(started.elapsed() < timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_ends_at_its_own_timeout() {
    let origin = origin().await;
    let service = service().await;
    let mut client = service.raw_client().await;
    let mut batch = half_answered(&origin);
    // If the concurrency is 1, most of the requests haven't been sent by then.
    batch.concurrency = 1;
    batch.timeout = Some(prost_types::Duration {
        seconds: 0,
        nanos: 200_000_000,
    });
    let messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let ends = ends(messages, 20).await;
    assert_eq!(ends[0], None);
    assert!(
        ends[1..]
            .iter()
            .all(|end| *end == Some(Reason::BatchDeadline))
    );
    assert_eq!(origin.seen(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_shorter_than_any_margin_still_answers_every_request() {
    let origin = origin().await;
    let service = service().await;
    let mut client = service.raw_client().await;
    let mut batch = half_answered(&origin);
    batch.timeout = Some(prost_types::Duration {
        seconds: 0,
        nanos: 1,
    });
    let messages = client.fetch_batch(batch).await.unwrap().into_inner();
    let ends = ends(messages, 20).await;
    assert!(ends.iter().all(|end| *end == Some(Reason::BatchDeadline)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shutdown_lets_batches_finish_and_refuses_new_ones() {
    let origin = origin().await;
    let mut service = service().await;
    let mut client = service.raw_client().await;
    let call = client.fetch_batch(half_answered(&origin)).await;
    let mut messages = call.unwrap().into_inner();
    let mut ends = some_ends(&mut messages, 10).await;

    service.shutdown.request();
    // The service refuses the call because it's draining. But if its GOAWAY arrives
    // earlier than that, the client has to open a new connection, and that fails.
    let refused = loop {
        let call = client.fetch_batch(FetchBatchRequest::default());
        if let Err(refused) = within_timeout(call).await {
            break refused;
        }
    };
    match refused.get_details_error_info() {
        Some(info) => {
            assert_eq!(refused.code(), Code::Unavailable);
            assert_eq!(
                (info.reason.as_str(), info.domain.as_str()),
                ("DRAINING", "fetchd")
            );
        }
        None => assert!(
            refused.source().is_some(),
            "expected a transport error, got {refused}"
        ),
    }
    // If shutdown is requested a second time, the drain is over.
    service.shutdown.request();
    ends.extend(some_ends(&mut messages, 10).await);
    assert_eq!(within_timeout(messages.message()).await.unwrap(), None);
    assert_eq!(in_order(ends), expected(Reason::ShuttingDown));
    within_timeout(&mut service.serving).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_does_not_delay_a_shutdown() {
    let mut service = service().await;
    let address = service.url.strip_prefix("http://").unwrap();
    let silent = tokio::net::TcpStream::connect(address).await.unwrap();
    // Connections are accepted in order, so after this we know that the silent one has
    // been accepted, too.
    service.client().await.fetch_all([] as [&str; 0]).await;
    let started = Instant::now();
    service.shutdown.request();
    within_timeout(&mut service.serving).await.unwrap().unwrap();
    assert!(started.elapsed() < Duration::from_secs(5));
    drop(silent);
}
