//! Runs all attacks on the service's memory at once, over and over again for a few
//! seconds, while healthy callers make calls.
//!
//! To run the attacks for longer, use `FETCHD_TEST_SECONDS=60 cargo test --test load
//! siege::`.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use fetchd::{
    client::Client,
    config::Config,
    proto::{FetchBatchRequest, FetchOptions, FetchRequest},
};
use futures_util::future::join_all;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use prost::Message;
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::support::{
    Origin, Process,
    caller::{self, FrameWriter, length_prefixed, loopback},
    eventually, http2,
    metrics::metrics,
    reply, requests,
    unreading::{EarlyAnswer, StalledOrigin},
    within_timeout,
};

/// Attackers connect from 127.0.0.2.
const ATTACKER: u8 = 2;

/// How long an attack lasts.
const ROUND: Duration = Duration::from_secs(2);

/// Memory that none of the limits count, i.e. code, the runtime, and any connections
/// above the limit.
const BASE: u64 = 192 << 20;

type Attack = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The service, along with all origins used by the attackers and the healthy callers.
struct Scene {
    service: Process,
    quick: Origin,
    large: Origin,
    never: Origin,
    silent: StalledOrigin,
    early: StalledOrigin,
}

impl Scene {
    async fn new() -> Arc<Self> {
        let (silent, early) = (EarlyAnswer::Never, EarlyAnswer::Plain);
        Arc::new(Self {
            service: Process::serve(&[]),
            quick: Origin::new(|_| async {
                sleep(Duration::from_millis(5)).await;
                reply("there")
            })
            .await,
            large: Origin::new(|_| async { reply(vec![b'x'; 1 << 20]) }).await,
            never: Origin::new(|_| std::future::pending()).await,
            silent: StalledOrigin::new(silent, 1 << 16).await,
            early: StalledOrigin::new(early, 1 << 16).await,
        })
    }

    /// Sends `message` as a call from the attackers' address. The response isn't read
    /// before the attack is over.
    async fn open(&self, message: &Bytes) {
        let (mut calls, connection) = caller::connect(&self.service.url, loopback(ATTACKER)).await;
        let _connection = AbortOnDropHandle::new(connection);
        let call = http2::call(http2::full_body(length_prefixed(message.len(), message)));
        let response = calls.send_request(call).await;
        if response.is_ok_and(|response| !response.headers().contains_key("grpc-status")) {
            sleep(ROUND).await;
        }
    }

    /// Starts a call with `message` but never finishes it.
    async fn begin(&self, message: Bytes) {
        let (mut calls, connection) = caller::connect(&self.service.url, loopback(ATTACKER)).await;
        let _connection = AbortOnDropHandle::new(connection);
        let (end, ended) = tokio::sync::oneshot::channel::<()>();
        let frames = futures_util::stream::unfold(Some((message, ended)), async |state| {
            let (message, ended) = state?;
            if message.is_empty() {
                let _ = ended.await;
                return None;
            }
            let frame = Ok::<_, std::io::Error>(Frame::data(message));
            Some((frame, Some((Bytes::new(), ended))))
        });
        let body = BodyExt::boxed(StreamBody::new(Box::pin(frames)));
        let _ = timeout(ROUND, calls.send_request(http2::call(body))).await;
        drop(end);
    }

    fn batch(origin: &Origin, count: usize, concurrency: u32) -> Bytes {
        let batch = FetchBatchRequest {
            requests: requests(vec![origin.url(""); count]),
            concurrency,
            ..Default::default()
        };
        batch.encode_to_vec().into()
    }

    /// Returns a batch of POSTs. Their origin doesn't read the bodies.
    fn upload(origin: &StalledOrigin, count: usize, bytes: usize) -> Bytes {
        let request = FetchRequest {
            url: format!("http://{}/", origin.address),
            method: "POST".to_owned(),
            body: vec![b'x'; bytes].into(),
            options: Some(FetchOptions {
                timeout: Some(prost_types::Duration {
                    seconds: 0,
                    nanos: 500_000_000,
                }),
                max_attempts: Some(1),
                ..Default::default()
            }),
            ..Default::default()
        };
        let batch = FetchBatchRequest {
            requests: vec![request; count],
            ..Default::default()
        };
        batch.encode_to_vec().into()
    }
}

/// Returns requests that add up to 16 MiB. In each of them, `lines` follows after the
/// URL.
fn of_lines(url: String, lines: &[u8]) -> Bytes {
    let of_url = FetchRequest {
        url,
        ..Default::default()
    };
    let request = [&of_url.encode_to_vec(), lines].concat();
    let mut field = vec![0x0a];
    prost::encoding::encode_varint(request.len() as u64, &mut field);
    field.extend(request);
    field.repeat((16 << 20) / field.len()).into()
}

/// Returns the attacks that use messages and uploads.
fn small_attacks(scene: &Arc<Scene>) -> Vec<Box<dyn Fn() -> Attack + Send>> {
    let group = [b"\x7b\x7c", &b"\x0a\0".repeat((8 << 20) - 8)[..]].concat();
    let lines = of_lines(scene.never.url(""), &b"\x1a\x03\x0a\x01x".repeat(1000));
    let empty = of_lines(scene.never.url(""), &b"\x1a\0".repeat(8_380_000));
    let messages = [
        (1, group.into()),
        (1, lines),
        (1, empty),
        (100, Scene::batch(&scene.never, 512, 512)),
        (50, Scene::batch(&scene.never, 2000, 50)),
        (10, Scene::upload(&scene.silent, 1, 3_200_000)),
        (4, Scene::upload(&scene.silent, 40, 300_000)),
        (2, Scene::upload(&scene.early, 1, 15_000_000)),
    ];
    let mut attacks: Vec<Box<dyn Fn() -> Attack + Send>> = Vec::new();
    for (count, message) in messages {
        for _ in 0..count {
            let (scene, message) = (Arc::clone(scene), message.clone());
            attacks.push(Box::new(move || {
                let (scene, message) = (Arc::clone(&scene), message.clone());
                Box::pin(async move { scene.open(&message).await })
            }));
        }
    }
    for _ in 0..4 {
        let scene = Arc::clone(scene);
        attacks.push(Box::new(move || {
            let scene = Arc::clone(&scene);
            Box::pin(async move {
                let mut frames = FrameWriter::open(&scene.service.url, loopback(ATTACKER)).await;
                let _ = frames.start_call(1).await;
                let message = length_prefixed(1 << 20, &[0; 100_000]);
                for burst in message.chunks(1000) {
                    if frames.send_data(1, burst, 1).await.is_err() || !frames.ping().await {
                        return;
                    }
                }
                sleep(ROUND).await;
            })
        }));
    }
    attacks
}

/// Returns the attacks that use up the limits.
fn large_attacks(scene: &Arc<Scene>) -> Vec<Box<dyn Fn() -> Attack + Send>> {
    let mut attacks: Vec<Box<dyn Fn() -> Attack + Send>> = Vec::new();
    let unread = Scene::batch(&scene.large, 20, 20);
    for _ in 0..150 {
        let (scene, message) = (Arc::clone(scene), unread.clone());
        attacks.push(Box::new(move || {
            let (scene, message) = (Arc::clone(&scene), message.clone());
            Box::pin(async move { scene.open(&message).await })
        }));
    }
    let unfinished = length_prefixed(16 << 20, &vec![0; 15 << 20]);
    for _ in 0..14 {
        let (scene, message) = (Arc::clone(scene), unfinished.clone());
        attacks.push(Box::new(move || {
            let (scene, message) = (Arc::clone(&scene), message.clone());
            Box::pin(async move { scene.begin(message).await })
        }));
    }
    attacks
}

/// Keeps attacking for at least `time`, and until each healthy caller has made two
/// batches. All of those must succeed. Returns the service's peak memory.
async fn besiege(
    scene: &Arc<Scene>,
    attacks: Vec<Box<dyn Fn() -> Attack + Send>>,
    time: Duration,
) -> u64 {
    let made = Arc::new(AtomicUsize::new(0));
    let attacking: Vec<_> = attacks
        .into_iter()
        .map(|attack| {
            let made = Arc::clone(&made);
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    attack().await;
                    made.fetch_add(1, SeqCst);
                    // If an attack was refused, don't busy-loop.
                    sleep(Duration::from_millis(20)).await;
                }
            }))
        })
        .collect();
    let until = Instant::now() + time;
    let healthy = (0..2).map(|_| async {
        let client = Client::connect(&scene.service.url).await.unwrap();
        let (mut batches, mut slowest) = (0, Duration::ZERO);
        while batches < 2 || Instant::now() < until {
            let begun = Instant::now();
            let results = client.fetch_all(vec![scene.quick.url(""); 50]);
            for result in within_timeout(results).await {
                result.unwrap();
            }
            batches += 1;
            slowest = slowest.max(begun.elapsed());
        }
        (batches, slowest)
    });
    let healthy = join_all(healthy).await;
    let batches: usize = healthy.iter().map(|(batches, _)| batches).sum();
    let slowest = healthy.iter().map(|(_, slowest)| *slowest).max().unwrap();
    drop(attacking);
    let peak = scene.service.peak_memory();
    println!(
        "{} attacks in {time:?}: {batches} batches of 50 beside them, the slowest in {slowest:?}; \
         peak {} MiB",
        made.load(SeqCst),
        peak >> 20
    );
    // In the end, there are no batches left.
    let admin = &scene.service.admin;
    eventually(async || metrics(admin).await["fetchd_batches_active"] == 0.0).await;
    peak
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_and_uploads_together_take_little_memory() {
    let scene = Scene::new().await;
    let attacks = small_attacks(&scene);
    let peak = besiege(&scene, attacks, Duration::from_secs(4)).await;
    assert!(peak < 300 << 20, "{peak}");
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_the_sum_of_the_limits() {
    let seconds = std::env::var("FETCHD_TEST_SECONDS").ok();
    let seconds = seconds.map_or(8, |seconds| seconds.parse().unwrap());
    let scene = Scene::new().await;
    let mut attacks = small_attacks(&scene);
    attacks.extend(large_attacks(&scene));
    let peak = besiege(&scene, attacks, Duration::from_secs(seconds)).await;
    let limits = Config::default().limits;
    let slots = u64::from(limits.max_in_flight) * (256 << 10);
    let batches = u64::from(limits.batches()) << 20;
    let connections = u64::from(limits.max_connections) * (64 << 10);
    let most = slots + batches + connections + limits.max_queued_bytes as u64 + BASE;
    println!("{} MiB of at most {} MiB", peak >> 20, most >> 20);
    assert!(peak < most, "{peak}");
}
