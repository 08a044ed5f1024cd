//! Measures how attacks by one caller affect the others: the time of another caller's
//! batch, alone and beside each attack, and the latency of health checks during the
//! attack. A batch has 100 requests of 20 ms.
//!
//! `cargo bench --bench neighbours`

#![allow(clippy::pedantic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::{process::ExitCode, time::Duration};

use bytes::Bytes;
use fetchd::proto::{FetchBatchRequest, FetchOptions, fetch_service_client::FetchServiceClient};
use futures_util::StreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{
    Origin, Process, RawOrigin,
    caller::{self, length_prefixed, loopback},
    http2,
    metrics::metrics,
    reply, requests, within_timeout,
};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

/// The highest accepted ratio of a batch's time beside an attack to its time alone.
const MAX_SLOWDOWN: f64 = 2.0;
/// The highest accepted latency of a health check: the default timeout of a Kubernetes
/// probe.
const MAX_HEALTH_LATENCY: Duration = Duration::from_secs(1);

/// The number of batches that each measurement repeats.
const ROUNDS: usize = 15;
/// The number of health checks during each attack.
const HEALTH_CHECKS: usize = 20;
const REQUESTS: usize = 100;
const DELAY: Duration = Duration::from_millis(20);

/// The attacks, each by one caller with its own address.
#[derive(Clone, Copy)]
enum Attack {
    /// Health watches on all regular connections.
    Watches,
    /// As many batches of one request as the caller is granted.
    Batches,
    /// Messages that are never completed.
    UnfinishedMessages,
    /// Streams that are read at 10 KB/s, with all slots that the caller is granted.
    SlowReaders,
    /// Batches of large bodies that are not read at all.
    UnreadBodies,
    /// Requests that fail and are retried, in a loop.
    Retries,
    /// Responses that consist of interim responses without end, in a loop.
    InterimResponses,
}

/// The tasks of a running attack, which ends when they are dropped.
type AttackTasks = Vec<AbortOnDropHandle<()>>;

/// The service and the origins that the attacks need.
struct Scene {
    service: Process,
    delayed: Origin,
    large: Origin,
    pending: Origin,
    failing: Origin,
    endless: RawOrigin,
}

/// The times of one attack.
struct Measurement {
    alone: Duration,
    beside: Duration,
    health: HealthLatency,
}

/// The latency of health checks, each on a new connection.
struct HealthLatency {
    median: Duration,
    worst: Duration,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut slowdown = 0.0_f64;
    let mut latency = Duration::ZERO;
    println!("attack               alone     beside    ratio  health median   health worst");
    for (name, attack) in Attack::ALL {
        let measurement = measure(attack).await;
        println!("{name:<20} {measurement}");
        slowdown = slowdown.max(measurement.slowdown());
        latency = latency.max(measurement.health.worst);
    }
    println!("worst ratio {slowdown:.2}, expected at most {MAX_SLOWDOWN:.1}");
    println!("worst health check {latency:.1?}, expected at most {MAX_HEALTH_LATENCY:?}");
    if slowdown > MAX_SLOWDOWN || latency > MAX_HEALTH_LATENCY {
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

/// Measures batches of another caller before and during `attack`, and health checks during
/// it.
async fn measure(attack: Attack) -> Measurement {
    let scene = Scene::new(attack.arguments()).await;
    let mut client = caller::client(&scene.service.url, loopback(1)).await;
    // The first batch opens the connections to the origin.
    scene.batch(&mut client).await;
    let alone = scene.median(&mut client).await;
    let _tasks = scene.start(attack).await;
    let beside = scene.median(&mut client).await;
    let health = scene.health_latency().await;
    Measurement {
        alone,
        beside,
        health,
    }
}

/// Returns a batch of GETs of `urls`.
fn batch_of(urls: Vec<String>, concurrency: u32) -> FetchBatchRequest {
    FetchBatchRequest {
        requests: requests(urls),
        concurrency,
        ..Default::default()
    }
}

fn spawn(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task))
}

impl Attack {
    const ALL: [(&'static str, Self); 7] = [
        ("watches", Self::Watches),
        ("batches", Self::Batches),
        ("unfinished messages", Self::UnfinishedMessages),
        ("slow readers", Self::SlowReaders),
        ("unread bodies", Self::UnreadBodies),
        ("retries", Self::Retries),
        ("interim responses", Self::InterimResponses),
    ];

    /// Returns additional arguments for the service.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Watches => &["--max-connections", "4"],
            _ => &[],
        }
    }
}

impl Measurement {
    fn slowdown(&self) -> f64 {
        self.beside.as_secs_f64() / self.alone.as_secs_f64()
    }
}

impl std::fmt::Display for Measurement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let HealthLatency { median, worst } = self.health;
        write!(
            f,
            "{:<9.1?} {:<9.1?} {:<6.2} {median:<15.1?} {worst:.1?}",
            self.alone,
            self.beside,
            self.slowdown()
        )
    }
}

impl Scene {
    async fn new(arguments: &[&str]) -> Self {
        Self {
            service: Process::serve(arguments),
            delayed: Origin::new(|_| async {
                sleep(DELAY).await;
                reply("there")
            })
            .await,
            large: Origin::new(|_| async { reply(vec![b'x'; 1 << 20]) }).await,
            pending: Origin::new(|_| std::future::pending()).await,
            failing: Origin::new(|_| async {
                let mut reply = reply("busy");
                *reply.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
                reply
            })
            .await,
            endless: RawOrigin::endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", Duration::ZERO)
                .await,
        }
    }

    /// Fetches one batch, and returns the time that it took.
    async fn batch(&self, client: &mut FetchServiceClient<Channel>) -> Duration {
        let batch = batch_of(vec![self.delayed.url(""); REQUESTS], 50);
        caller::fetch(client, batch).await
    }

    /// Fetches [`ROUNDS`] batches, and returns the median of their times.
    async fn median(&self, client: &mut FetchServiceClient<Channel>) -> Duration {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(self.batch(client).await);
        }
        times.sort();
        times[ROUNDS / 2]
    }

    /// Sends [`HEALTH_CHECKS`] health checks, one after another, from a third address.
    async fn health_latency(&self) -> HealthLatency {
        let mut times = Vec::new();
        for _ in 0..HEALTH_CHECKS {
            times.push(self.check_health().await);
            sleep(Duration::from_millis(10)).await;
        }
        times.sort();
        HealthLatency {
            median: times[HEALTH_CHECKS / 2],
            worst: times[HEALTH_CHECKS - 1],
        }
    }

    /// Sends a health check on a new connection, like a Kubernetes probe, and returns the
    /// time that it took.
    async fn check_health(&self) -> Duration {
        let started = Instant::now();
        within_timeout(async {
            let channel = caller::channel(&self.service.url, loopback(3)).await;
            let mut health = HealthClient::new(channel.unwrap());
            let response = health.check(HealthCheckRequest::default()).await.unwrap();
            assert_eq!(response.into_inner().status(), ServingStatus::Serving);
        })
        .await;
        started.elapsed()
    }

    /// Starts `attack`, and returns once it has its effect.
    async fn start(&self, attack: Attack) -> AttackTasks {
        match attack {
            Attack::Watches => self.watch().await,
            Attack::Batches => self.open_batches().await,
            Attack::UnfinishedMessages => self.send_unfinished().await,
            Attack::SlowReaders => self.read_slowly().await,
            Attack::UnreadBodies => self.read_nothing().await,
            Attack::Retries => self.retry().await,
            Attack::InterimResponses => self.fetch_interim_responses().await,
        }
    }

    /// Waits until the value of `metric` is at least `minimum`.
    async fn until(&self, metric: &str, minimum: f64) {
        within_timeout(async {
            while metrics(&self.service.admin).await[metric] < minimum {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Opens health watches on all regular connections.
    async fn watch(&self) -> AttackTasks {
        let mut tasks = Vec::new();
        for _ in 0..4 {
            let channel = caller::channel(&self.service.url, loopback(2)).await;
            let mut health = HealthClient::new(channel.unwrap());
            let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
            let mut watch = watch.into_inner();
            watch.message().await.unwrap();
            tasks.push(spawn(async move {
                let _ = watch.message().await;
                drop(health);
            }));
        }
        tasks
    }

    /// Makes 200 calls and does not read the responses.
    async fn read_nothing(&self) -> AttackTasks {
        let mut open = Vec::new();
        for _ in 0..200 {
            let mut client = caller::client(&self.service.url, loopback(2)).await;
            let batch = batch_of(vec![self.large.url(""); 100], 50);
            let response = client.fetch_batch(batch).await.unwrap();
            open.push((client, response));
        }
        self.until("fetchd_stalled", 900.0).await;
        vec![spawn(async move {
            std::future::pending::<()>().await;
            drop(open);
        })]
    }

    /// Opens batches of one request until the service refuses one.
    async fn open_batches(&self) -> AttackTasks {
        let mut client = caller::client(&self.service.url, loopback(2)).await;
        let mut open = Vec::new();
        while let Ok(response) = client
            .fetch_batch(batch_of(vec![self.pending.url("")], 1))
            .await
        {
            open.push(response);
        }
        assert!(open.len() > 200, "{}", open.len());
        vec![spawn(async move {
            std::future::pending::<()>().await;
            drop((open, client));
        })]
    }

    /// Sends unfinished messages, and sends each again after the service has aborted it.
    async fn send_unfinished(&self) -> AttackTasks {
        let message = length_prefixed(16 << 20, &vec![0; 15_900_000]);
        let tasks = (0..16).map(|_| {
            let (url, message) = (self.service.url.clone(), message.clone());
            spawn(async move {
                loop {
                    let (mut calls, connection) = caller::connect(&url, loopback(2)).await;
                    let _connection = AbortOnDropHandle::new(connection);
                    let first = Ok::<_, std::io::Error>(Frame::data(message.clone()));
                    let first = futures_util::stream::once(async { first });
                    let frames = first.chain(futures_util::stream::pending());
                    let body = BodyExt::boxed(StreamBody::new(Box::pin(frames)));
                    let _ = calls.send_request(http2::call(body)).await;
                    // Limits the rate if the service refuses the call at once.
                    sleep(Duration::from_secs(1)).await;
                }
            })
        });
        let tasks = tasks.collect();
        sleep(Duration::from_secs(2)).await;
        tasks
    }

    /// Reads two streams at 10 KB/s each, with all slots that the caller is granted.
    async fn read_slowly(&self) -> AttackTasks {
        let batch = batch_of(vec![self.large.url(""); 2000], 512);
        let message = http2::message(&batch);
        let tasks = (0..2).map(|_| {
            let (url, message) = (self.service.url.clone(), message.clone());
            spawn(async move {
                let stream = caller::stream(&url, loopback(2)).await.unwrap();
                let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
                builder
                    .initial_stream_window_size(65_535)
                    .initial_connection_window_size(65_535);
                let opened = builder.handshake(TokioIo::new(stream)).await;
                let (mut calls, connection) = opened.unwrap();
                let _connection = spawn(async { drop(connection.await) });
                let call = http2::call(http2::full_body(message));
                let mut body = calls.send_request(call).await.unwrap().into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    sleep(Duration::from_secs_f64(bytes as f64 / 10_000.0)).await;
                }
            })
        });
        let tasks = tasks.collect();
        self.until("fetchd_stalled", 700.0).await;
        tasks
    }

    /// Sends `batch` in a loop, and reads all its messages.
    async fn repeat(&self, batch: FetchBatchRequest) -> AttackTasks {
        let mut client = caller::client(&self.service.url, loopback(2)).await;
        vec![spawn(async move {
            loop {
                let mut messages = client
                    .fetch_batch(batch.clone())
                    .await
                    .unwrap()
                    .into_inner();
                while let Ok(Some(_)) = messages.message().await {}
            }
        })]
    }

    /// Sends requests that fail and are retried, in a loop.
    async fn retry(&self) -> AttackTasks {
        let mut batch = batch_of(vec![self.failing.url(""); 500], 50);
        let dead = vec!["http://127.0.0.9:1/".to_owned(); 500];
        batch.requests.extend(requests(dead));
        batch.options = Some(FetchOptions {
            max_attempts: Some(10),
            ..Default::default()
        });
        self.repeat(batch).await
    }

    /// Fetches endless interim responses, in a loop.
    async fn fetch_interim_responses(&self) -> AttackTasks {
        let batch = batch_of(vec![self.endless.url(); 500], 50);
        self.repeat(batch).await
    }
}
