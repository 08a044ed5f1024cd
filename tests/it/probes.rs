//! Health checks and watches. They're answered even if the server is full, and they don't
//! get in the way of callers.

use std::time::{Duration, Instant};

use fetchd::{config::Config, proto::FetchBatchRequest};
use tonic::{Streaming, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

use crate::support::{
    Origin, Service, allow_loopback,
    caller::{self, loopback},
    gated_origin, reply, requests, service_with, until, within_timeout,
};

/// Starts a service that only accepts four connections.
async fn of_four(change: impl FnOnce(&mut Config)) -> Service {
    let mut config = allow_loopback();
    config.limits.max_connections = 4;
    change(&mut config);
    service_with(config).await
}

async fn health(service: &Service, from: u8) -> HealthClient<Channel> {
    HealthClient::new(caller::channel(&service.url, loopback(from)).await.unwrap())
}

/// Makes a health check on a new connection. Returns how long it took.
async fn probe(service: &Service, from: u8) -> Duration {
    let begun = Instant::now();
    let mut health = health(service, from).await;
    let answer = within_timeout(health.check(HealthCheckRequest::default())).await;
    assert_eq!(answer.unwrap().into_inner().status, 1);
    begun.elapsed()
}

/// Opens a watch. Returns it along with its connection.
async fn watch(service: &Service) -> (HealthClient<Channel>, Streaming<HealthCheckResponse>) {
    let mut health = health(service, 2).await;
    let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
    let mut watch = watch.into_inner();
    let first = within_timeout(watch.message()).await.unwrap().unwrap();
    assert_eq!(first.status, 1);
    (health, watch)
}

fn batch(origin: &Origin) -> FetchBatchRequest {
    FetchBatchRequest {
        requests: requests([origin.url("")]),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_give_way_to_a_batch() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = of_four(|_| {}).await;
    let mut watches = Vec::new();
    for _ in 0..4 {
        watches.push(watch(&service).await);
    }
    let checked = probe(&service, 2).await;
    let begun = Instant::now();
    let mut next = caller::client(&service.url, loopback(2)).await;
    let mut results = within_timeout(next.fetch_batch(batch(&origin)))
        .await
        .unwrap();
    let first = within_timeout(results.get_mut().message()).await.unwrap();
    assert_eq!(first.unwrap().parts.len(), 1);
    let served = begun.elapsed();
    println!("beside four watches: a check after {checked:?}, a batch after {served:?}");
    assert!(checked < Duration::from_secs(1), "{checked:?}");
    assert!(served < Duration::from_secs(5), "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_does_not_extend_the_age_of_its_connection() {
    let service = of_four(|config| {
        config.limits.max_connection_age = Duration::from_millis(500);
    })
    .await;
    let begun = Instant::now();
    let (_health, mut watch) = watch(&service).await;
    while let Ok(Some(_)) = within_timeout(watch.message()).await {}
    let age = begun.elapsed();
    println!("a watch on a connection of at most half a second: {age:?}");
    assert!(age < Duration::from_secs(4), "{age:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_while_every_connection_has_a_batch() {
    let (origin, _gate) = gated_origin().await;
    let service = of_four(|_| {}).await;
    let mut open = Vec::new();
    for from in 2..6 {
        let mut client = caller::client(&service.url, loopback(from)).await;
        open.push(client.fetch_batch(batch(&origin)).await.unwrap());
    }
    until(|| origin.in_flight() == 4).await;
    let mut slowest = Duration::ZERO;
    for from in [1, 2].into_iter().cycle().take(20) {
        slowest = slowest.max(probe(&service, from).await);
    }
    println!("the slowest of 20 checks beside four batches: {slowest:?}");
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
    assert_eq!(origin.in_flight(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn probes_are_answered_beside_many_connections_of_one_caller() {
    let service = of_four(|_| {}).await;
    // With these we exceed the limit. They don't send anything.
    let mut silent = Vec::new();
    for _ in 0..400 {
        silent.push(caller::stream(&service.url, loopback(2)).await.unwrap());
    }
    let first = probe(&service, 1).await;
    let next = probe(&service, 1).await;
    println!("beside 400 silent connections: a check after {first:?}, the next after {next:?}");
    assert!(first < Duration::from_secs(8), "{first:?}");
}
