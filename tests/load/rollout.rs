//! Callers of replicas that come and go, as in Kubernetes: all pods are replaced, pods are
//! added, or one is killed. No call may fail.
//!
//! `FETCHD_TEST_SECONDS=60 cargo test --test load rollout:: -- --nocapture` runs each of
//! these for longer than the few seconds of the test suite.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use fetchd::{
    client::Client,
    proto::{FetchBatchRequest, fetch_service_client::FetchServiceClient},
};
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{MissedTickBehavior, sleep},
};
use tonic::{Code, Status, transport::Channel};

use crate::support::{
    Origin,
    cluster::{Cluster, HEADLESS},
    namespace::{self, Network},
    reply, requests,
};

/// The pause between two calls, so there are 200 a second.
const INTERVAL: Duration = Duration::from_millis(5);

/// The number of URLs in a call.
const URLS: usize = 5;

/// How many different hosts the URLs have.
const HOSTS: usize = 50;

/// How long the origin takes to answer.
const DELAY: Duration = Duration::from_millis(20);

const PODS: usize = 3;

/// How many single connections there are if we look at where they lead.
const CONNECTIONS: usize = 30;

/// The origin of all fetches.
struct Site {
    origin: Origin,
    /// How many requests each pod has sent, by caller and pod.
    counts: Arc<Mutex<BTreeMap<(String, String), usize>>>,
}

/// A caller that makes calls until it's told to stop.
struct Load {
    is_over: Arc<AtomicBool>,
    running: JoinHandle<Tally>,
}

/// The calls of a caller.
#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    /// The errors of failed calls, and how often each of them occurred.
    failed: BTreeMap<String, usize>,
    slowest: Duration,
}

/// Returns how long the callers are observed.
fn duration() -> Duration {
    let seconds = std::env::var("FETCHD_TEST_SECONDS").ok();
    Duration::from_secs(seconds.map_or(6, |seconds| seconds.parse().unwrap()))
}

/// Runs `test` in a network namespace. Without one, it's skipped.
fn run(name: &str, test: impl Future<Output = ()>) {
    if namespace::enter(name, "127.0.0.1 localhost\n") == Some(Network::Isolated) {
        tokio::runtime::Runtime::new().unwrap().block_on(test);
    }
}

impl Site {
    async fn new() -> Self {
        let counts: Arc<Mutex<BTreeMap<_, usize>>> = Arc::default();
        let noted = Arc::clone(&counts);
        let origin = Origin::new(move |request| {
            let pod = request.headers()["user-agent"].to_str().unwrap().to_owned();
            let caller = request.uri().path()[1..].to_owned();
            *noted.lock().unwrap().entry((caller, pod)).or_default() += 1;
            async {
                sleep(DELAY).await;
                reply("there")
            }
        });
        Self {
            origin: origin.await,
            counts,
        }
    }

    /// Returns the URLs for each call of a caller.
    fn urls(&self, caller: &'static str) -> impl Fn(usize) -> Vec<String> + use<> {
        let port = self.origin.address.port();
        move |call| {
            let hosts = (0..URLS).map(|index| (call * URLS + index) % HOSTS);
            hosts
                .map(|host| format!("http://h{host}.test:{port}/{caller}"))
                .collect()
        }
    }

    /// Returns the share of a caller's requests that `pods` have had since the last call.
    fn share(&self, caller: &str, pods: &[IpAddr]) -> f64 {
        let mut counts = self.counts.lock().unwrap();
        let (mut theirs, mut all) = (0, 0);
        counts.retain(|(name, pod), count| {
            if name == caller {
                all += *count;
                let is_theirs = pods.contains(&pod.parse().unwrap());
                theirs += if is_theirs { *count } else { 0 };
            }
            name != caller
        });
        theirs as f64 / all as f64
    }
}

impl Load {
    /// Makes calls with `call`, which gets the number of the call.
    fn start<F>(call: impl Fn(usize) -> F + Send + 'static) -> Self
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        let is_over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&is_over);
        let running = tokio::spawn(async move {
            let mut tally = Tally::default();
            let mut calls = JoinSet::new();
            let mut next = tokio::time::interval(INTERVAL);
            // After a pause of the whole machine, there's no burst of calls.
            next.set_missed_tick_behavior(MissedTickBehavior::Skip);
            while !ended.load(Ordering::Relaxed) || !calls.is_empty() {
                tokio::select! {
                    _ = next.tick(), if !ended.load(Ordering::Relaxed) => {
                        let begun = Instant::now();
                        let result = call(tally.calls);
                        tally.calls += 1;
                        calls.spawn(async move { (result.await, begun.elapsed()) });
                    }
                    Some(ended) = calls.join_next() => {
                        let (result, took) = ended.unwrap();
                        tally.slowest = tally.slowest.max(took);
                        if let Err(error) = result {
                            *tally.failed.entry(error).or_default() += 1;
                        }
                    }
                }
            }
            tally
        });
        Self { is_over, running }
    }

    /// Starts a caller with the Rust client. `url` is that of the service.
    async fn with_client(site: &Site) -> Self {
        let client = Client::connect(HEADLESS).await.unwrap();
        let urls = site.urls("client");
        Self::start(move |call| {
            let (client, urls) = (client.clone(), urls(call));
            async move {
                let results = client.fetch_all(urls).await;
                let results: Result<Vec<_>, _> = results.into_iter().collect();
                results.map(drop).map_err(|error| error.to_string())
            }
        })
    }

    /// Starts a caller with the generated stub. It uses the channels in turn.
    fn with_stub(site: &Site, channels: Vec<Channel>) -> Self {
        let urls = site.urls("stub");
        Self::start(move |call| {
            let batch = FetchBatchRequest {
                requests: requests(urls(call)),
                ..Default::default()
            };
            let channel = channels[call % channels.len()].clone();
            let stub = FetchServiceClient::new(channel);
            async move {
                let result = fetch(stub, batch).await;
                result.map_err(|status| format!("{:?}: {}", status.code(), status.message()))
            }
        })
    }

    async fn stop(self) -> Tally {
        self.is_over.store(true, Ordering::Relaxed);
        self.running.await.unwrap()
    }
}

/// Fetches `batch`. If the call fails before its response begins, it's made again, as
/// `docs/callers.md` says.
async fn fetch(
    mut stub: FetchServiceClient<Channel>,
    batch: FetchBatchRequest,
) -> Result<(), Status> {
    const ATTEMPTS: usize = 5;

    let mut attempts = 0;
    let mut messages = loop {
        attempts += 1;
        match stub.fetch_batch(batch.clone()).await {
            Ok(response) => break response.into_inner(),
            Err(status)
                if attempts < ATTEMPTS
                    && matches!(
                        status.code(),
                        Code::Cancelled | Code::Unknown | Code::Unavailable
                    ) => {}
            Err(status) => return Err(status),
        }
    };
    let mut ends = 0;
    while let Some(message) = messages.message().await? {
        for end in message.parts.into_iter().filter_map(|part| part.end) {
            if let Some(error) = end.error {
                return Err(Status::internal(format!("{error:?}")));
            }
            ends += 1;
        }
    }
    assert_eq!(ends, URLS);
    Ok(())
}

#[test]
fn no_call_fails_while_all_pods_are_replaced() {
    run(
        "rollout::no_call_fails_while_all_pods_are_replaced",
        async {
            let mut cluster = Cluster::new(PODS, &["--drain-delay", "1s"]).await;
            let site = Site::new().await;
            let client = Load::with_client(&site).await;
            let stub = Load::with_stub(&site, vec![cluster.virtual_channel()]);
            let begun = Instant::now();
            let mut replaced = 0;
            while replaced < PODS || begun.elapsed() < duration() {
                cluster.replace_oldest().await;
                replaced += 1;
            }
            let took = begun.elapsed();
            let (client, stub) = (client.stop().await, stub.stop().await);
            println!("{replaced} pods replaced in {took:.1?}");
            println!("by name: {client:#?}\none connection: {stub:#?}");
            assert!(client.failed.is_empty() && stub.failed.is_empty());
        },
    );
}

#[test]
fn new_pods_get_their_share_of_the_calls() {
    run("rollout::new_pods_get_their_share_of_the_calls", async {
        // Each connection ends at least once before we look at the shares.
        let age = format!("{}ms", duration().as_millis() / 2);
        let age: &'static str = age.leak();
        let mut cluster = Cluster::new(PODS, &["--max-connection-age", age]).await;
        let site = Site::new().await;
        let client = Load::with_client(&site).await;
        let channels = (0..CONNECTIONS).map(|_| cluster.virtual_channel());
        let stub = Load::with_stub(&site, channels.collect());
        sleep(Duration::from_secs(1)).await;
        for _ in 0..PODS {
            cluster.add().await;
        }
        sleep(duration()).await;
        let new = &cluster.addresses()[PODS..];
        let _ = (site.share("client", new), site.share("stub", new));
        sleep(Duration::from_secs(2)).await;
        let (by_name, by_connection) = (site.share("client", new), site.share("stub", new));
        let (client, stub) = (client.stop().await, stub.stop().await);
        println!("{by_name:.2} and {by_connection:.2} of the requests reach the new pods");
        println!("by name: {client:#?}\n{CONNECTIONS} connections: {stub:#?}");
        assert!(client.failed.is_empty() && stub.failed.is_empty());
        // Half of them, but the pods of hosts and connections are random.
        assert!((0.25..0.75).contains(&by_name), "{by_name}");
        assert!((0.2..0.8).contains(&by_connection), "{by_connection}");
    });
}

#[test]
fn no_call_fails_if_a_pod_is_killed() {
    run("rollout::no_call_fails_if_a_pod_is_killed", async {
        let mut cluster = Cluster::new(PODS, &[]).await;
        let site = Site::new().await;
        let client = Load::with_client(&site).await;
        sleep(Duration::from_secs(1)).await;
        cluster.kill_oldest(Duration::from_secs(1)).await;
        sleep(duration() / 4).await;
        let client = client.stop().await;
        println!("by name: {client:#?}");
        assert!(client.failed.is_empty());
    });
}
