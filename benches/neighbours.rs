//! How long a caller's batch takes beside one that attacks: 100 requests of 20 ms,
//! alone and beside each attack, in the same process.
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
    caller::{self, address, prefixed},
    http2,
    metrics::metrics,
    patiently, reply, requests,
};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// The most that an attack may stretch a batch to.
const MOST: f64 = 2.0;

const ROUNDS: usize = 15;
const REQUESTS: usize = 100;
const DELAY: Duration = Duration::from_millis(20);

/// An attack under way, which ends when it is dropped.
type Attack = Vec<AbortOnDropHandle<()>>;

struct Scene {
    service: Process,
    quick: Origin,
    large: Origin,
    never: Origin,
    failing: Origin,
    endless: RawOrigin,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut worst = 0.0_f64;
    for (name, arguments) in [
        ("watches", &["--max-connections", "4"][..]),
        ("batches", &[]),
        ("unfinished messages", &[]),
        ("slow readers", &[]),
        ("unread bodies", &[]),
        ("retries", &[]),
        ("interim responses", &[]),
    ] {
        let scene = Scene::new(arguments).await;
        let mut neighbour = caller::client(&scene.service.url, address(1)).await;
        // The first one opens the connections.
        scene.batch(&mut neighbour).await;
        let alone = scene.median(&mut neighbour).await;
        let attack = match name {
            "watches" => scene.watch().await,
            "batches" => scene.take_batches().await,
            "unfinished messages" => scene.take_room().await,
            "slow readers" => scene.read_slowly().await,
            "unread bodies" => scene.read_nothing().await,
            "retries" => scene.retry().await,
            _ => scene.meet_interims().await,
        };
        let beside = scene.median(&mut neighbour).await;
        let ratio = beside.as_secs_f64() / alone.as_secs_f64();
        println!("beside {name:<20} {beside:>8.1?}, alone {alone:>8.1?}: {ratio:.2}");
        worst = worst.max(ratio);
        drop(attack);
    }
    println!("the worst: {worst:.2}; at most {MOST:.1} is the aim");
    if worst > MOST {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

fn of(urls: Vec<String>, concurrency: u32) -> FetchBatchRequest {
    FetchBatchRequest {
        requests: requests(urls),
        concurrency,
        ..Default::default()
    }
}

fn spawn(attack: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(attack))
}

impl Scene {
    async fn new(arguments: &[&str]) -> Self {
        Self {
            service: Process::serve(arguments),
            quick: Origin::new(|_| async {
                sleep(DELAY).await;
                reply("there")
            })
            .await,
            large: Origin::new(|_| async { reply(vec![b'x'; 1 << 20]) }).await,
            never: Origin::new(|_| std::future::pending()).await,
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

    /// How long one batch takes.
    async fn batch(&self, client: &mut FetchServiceClient<Channel>) -> Duration {
        let batch = of(vec![self.quick.url(""); REQUESTS], 50);
        let begun = Instant::now();
        let mut messages = client.fetch_batch(batch).await.unwrap().into_inner();
        let mut ends = 0;
        while let Some(message) = patiently(messages.message()).await.unwrap() {
            for end in message.parts.into_iter().filter_map(|part| part.end) {
                assert_eq!(end.error, None);
                ends += 1;
            }
        }
        assert_eq!(ends, REQUESTS);
        begun.elapsed()
    }

    async fn median(&self, client: &mut FetchServiceClient<Channel>) -> Duration {
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(self.batch(client).await);
        }
        times.sort();
        times[ROUNDS / 2]
    }

    /// Waits until the value of `metric` is at least `least`.
    async fn until(&self, metric: &str, least: f64) {
        patiently(async {
            while metrics(&self.service.admin).await[metric] < least {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }

    /// Watches on as many connections as there may be.
    async fn watch(&self) -> Attack {
        let mut attack = Vec::new();
        for _ in 0..4 {
            let channel = caller::channel(&self.service.url, address(2)).await;
            let mut health = HealthClient::new(channel.unwrap());
            let watch = health.watch(HealthCheckRequest::default()).await.unwrap();
            let mut watch = watch.into_inner();
            watch.message().await.unwrap();
            attack.push(spawn(async move {
                let _ = watch.message().await;
                drop(health);
            }));
        }
        attack
    }

    /// As many batches of one request as one caller gets.
    async fn take_batches(&self) -> Attack {
        let mut client = caller::client(&self.service.url, address(2)).await;
        let mut open = Vec::new();
        while let Ok(response) = client.fetch_batch(of(vec![self.never.url("")], 1)).await {
            open.push(response);
        }
        assert!(open.len() > 200, "{}", open.len());
        vec![spawn(async move {
            std::future::pending::<()>().await;
            drop((open, client));
        })]
    }

    /// Messages that are never finished, again whenever they are given up.
    async fn take_room(&self) -> Attack {
        let message = prefixed(16 << 20, &vec![0; 15_900_000]);
        let attack = (0..16).map(|_| {
            let (url, message) = (self.service.url.clone(), message.clone());
            spawn(async move {
                loop {
                    let (mut calls, connection) = caller::connect(&url, address(2)).await;
                    let _connection = AbortOnDropHandle::new(connection);
                    let first = Ok::<_, std::io::Error>(Frame::data(message.clone()));
                    let first = futures_util::stream::once(async { first });
                    let frames = first.chain(futures_util::stream::pending());
                    let body = BodyExt::boxed(StreamBody::new(Box::pin(frames)));
                    let _ = calls.send_request(http2::call(body)).await;
                    // Those that are refused do not spin.
                    sleep(Duration::from_secs(1)).await;
                }
            })
        });
        let attack = attack.collect();
        sleep(Duration::from_secs(2)).await;
        attack
    }

    /// Two streams that are read at 10 KB/s, with all the slots that they get.
    async fn read_slowly(&self) -> Attack {
        let batch = of(vec![self.large.url(""); 2000], 512);
        let message = http2::message(&batch);
        let attack = (0..2).map(|_| {
            let (url, message) = (self.service.url.clone(), message.clone());
            spawn(async move {
                let stream = caller::stream(&url, address(2)).await.unwrap();
                let mut builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
                builder
                    .initial_stream_window_size(65_535)
                    .initial_connection_window_size(65_535);
                let opened = builder.handshake(TokioIo::new(stream)).await;
                let (mut calls, connection) = opened.unwrap();
                let _connection = spawn(async { drop(connection.await) });
                let call = http2::call(http2::whole(message));
                let mut body = calls.send_request(call).await.unwrap().into_body();
                while let Some(Ok(frame)) = body.frame().await {
                    let bytes = frame.data_ref().map_or(0, Bytes::len);
                    sleep(Duration::from_secs_f64(bytes as f64 / 10_000.0)).await;
                }
            })
        });
        let attack = attack.collect();
        self.until("fetchd_stalled", 700.0).await;
        attack
    }

    /// 200 calls whose responses are not read, with all the slots that they get.
    async fn read_nothing(&self) -> Attack {
        let mut open = Vec::new();
        for _ in 0..200 {
            let mut client = caller::client(&self.service.url, address(2)).await;
            let batch = of(vec![self.large.url(""); 100], 50);
            let response = client.fetch_batch(batch).await.unwrap();
            open.push((client, response));
        }
        self.until("fetchd_stalled", 900.0).await;
        vec![spawn(async move {
            std::future::pending::<()>().await;
            drop(open);
        })]
    }

    /// `batch` again and again, all of which is read.
    async fn repeat(&self, batch: FetchBatchRequest) -> Attack {
        let mut client = caller::client(&self.service.url, address(2)).await;
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

    /// Requests that fail and are tried again, without end.
    async fn retry(&self) -> Attack {
        let mut batch = of(vec![self.failing.url(""); 500], 50);
        let dead = vec!["http://127.0.0.9:1/".to_owned(); 500];
        batch.requests.extend(requests(dead));
        batch.options = Some(FetchOptions {
            max_attempts: Some(10),
            ..Default::default()
        });
        self.repeat(batch).await
    }

    /// Interim responses without end, without end.
    async fn meet_interims(&self) -> Attack {
        let batch = of(vec![self.endless.url(); 500], 50);
        self.repeat(batch).await
    }
}
