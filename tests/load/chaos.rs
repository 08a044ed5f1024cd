//! A client with several replicas. Some of them answer nonsense, hang, die or lose their
//! connections. As long as one is healthy, we must not lose any GET, and must not send
//! any POST twice.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use fetchd::{
    client::{Client, Error, Outcome, Request},
    proto::Reason,
};
use futures_util::{StreamExt, future::join_all};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::support::{
    Origin, Process, allow_loopback,
    replica::{FakeReplica, Fault, delaying_proxy, faulty_replica, truncating_proxy},
    reply, service_at, service_with, until, within_timeout,
};

/// An origin that counts how often each path gets a POST.
struct Counting {
    origin: Origin,
    posts: Arc<Mutex<HashMap<String, usize>>>,
}

impl Counting {
    async fn new(delay: Duration) -> Self {
        let posts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
        let noted = Arc::clone(&posts);
        let origin = Origin::new(move |request| {
            if request.method() == "POST" {
                let path = request.uri().path().to_owned();
                *noted.lock().unwrap().entry(path).or_default() += 1;
            }
            async move {
                tokio::time::sleep(delay).await;
                reply("there")
            }
        })
        .await;
        Self { origin, posts }
    }

    /// Returns requests to paths beginning with `name`. Every tenth one is a POST.
    fn requests(&self, name: &str, count: usize) -> Vec<Request> {
        let request = |index| {
            let url = self.origin.url(format_args!("{name}/{index}"));
            match index % 10 {
                0 => Request::post(url, "once"),
                _ => Request::get(url),
            }
        };
        (0..count).map(request).collect()
    }

    fn assert_no_post_twice(&self) {
        let posts = self.posts.lock().unwrap();
        let twice = posts.iter().find(|(_, count)| **count > 1);
        assert_eq!(twice, None, "a POST was received twice");
    }
}

/// Fetches `requests`. POSTs may get lost, and their errors are returned. If a GET is
/// lost, the test fails.
async fn fetch(client: &Client, requests: Vec<Request>, name: &str) -> Vec<Error> {
    let count = requests.len();
    let fetch = client.fetch(requests).concurrency(50);
    let mut outcomes: Vec<Outcome> = within_timeout(fetch.outcomes().collect()).await;
    outcomes.sort_by_key(|outcome| outcome.index);
    assert!(outcomes.iter().map(|outcome| outcome.index).eq(0..count));
    let lost = outcomes.into_iter().filter_map(|outcome| {
        let error = outcome.error.clone()?;
        let is_of_the_service = matches!(
            error,
            Error::ServiceLost { .. } | Error::Call { .. } | Error::Contract { .. }
        ) || error.reason() == Some(Reason::ShuttingDown);
        assert!(
            outcome.index % 10 == 0 && is_of_the_service,
            "{name}: {outcome:?}"
        );
        Some(error)
    });
    lost.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_answers_wrongly_loses_no_get() {
    let counting = Counting::new(Duration::from_millis(2)).await;
    let healthy = service_with(allow_loopback()).await;
    for kind in Fault::ANSWERING {
        let replica = faulty_replica(kind).await;
        let urls = format!("{},{}", replica.url, healthy.url);
        let client = Client::connect(urls).await.unwrap();
        let begun = Instant::now();
        let name = format!("{kind:?}");
        let lost = fetch(&client, counting.requests(&name, 440), &name).await;
        println!(
            "{kind:?}: {} of 44 POSTs lost, 0 GETs, {:?}",
            lost.len(),
            begun.elapsed()
        );
        assert!(
            lost.is_empty() || !kind.dispatches_nothing(),
            "{kind:?}: {lost:?}"
        );
        // Requests outside of a batch find the healthy replica, too.
        for _ in 0..5 {
            let url = counting.origin.url("alone");
            let response = within_timeout(client.execute(url)).await.unwrap();
            assert_eq!(response.text().await.unwrap(), "there");
        }
    }
    counting.assert_no_post_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_without_a_fetchd_replica_gets_unimplemented() {
    let replicas = [
        faulty_replica(Fault::Unimplemented).await,
        faulty_replica(Fault::NotFound).await,
    ];
    let urls = replicas.each_ref().map(|replica| replica.url.clone());
    let client = Client::connect(urls.join(",")).await.unwrap();
    let begun = Instant::now();
    let results = client.fetch_all(vec!["http://127.0.0.1:1/"; 20]).await;
    for result in results {
        let error = result.unwrap_err();
        let is_unimplemented =
            matches!(&error, Error::Call { code, .. } if *code == fetchd::Code::Unimplemented);
        assert!(is_unimplemented, "{error:?}");
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn no_get_is_lost_during_a_short_outage_of_all_replicas() {
    let counting = Counting::new(Duration::from_millis(1)).await;
    let mut replicas = Vec::new();
    for _ in 0..8 {
        replicas.push(service_with(allow_loopback()).await);
    }
    let urls: Vec<_> = replicas.iter().map(|replica| replica.url.clone()).collect();
    let client = Client::connect(urls.join(",")).await.unwrap();
    for replica in replicas {
        drop(replica);
    }
    let restarting = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let urls = urls.iter().map(|url| url.trim_start_matches("http://"));
        join_all(urls.map(|url| service_at(url, allow_loopback()))).await
    };
    let gets = (0..400).map(|index| Request::get(counting.origin.url(index)));
    let fetching = client.fetch_all(gets);
    let (_replicas, results) = tokio::join!(restarting, within_timeout(fetching));
    let lost: Vec<_> = results.into_iter().filter_map(Result::err).collect();
    assert!(lost.is_empty(), "{} lost: {}", lost.len(), lost[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn list_ends_soon_after_one_of_three_replicas_freezes() {
    const DELAY: Duration = Duration::from_millis(500);

    let counting = Counting::new(DELAY).await;
    let replicas: Vec<_> = (0..3).map(|_| Process::serve(&[])).collect();
    let urls: Vec<_> = replicas
        .iter()
        .map(|replica| replica.url.as_str())
        .collect();
    // These are the default settings, since it's them we promise something about.
    let client = Client::connect(urls.join(",")).await.unwrap();
    let requests = counting.requests("frozen", 300);
    let fetching = tokio::spawn(async move { fetch(&client, requests, "frozen").await });
    until(|| counting.origin.seen() >= 100).await;
    replicas[1].signal("STOP");
    let frozen = Instant::now();
    within_timeout(fetching).await.unwrap();
    let waited = frozen.elapsed();
    println!(
        "the list ended {:.1} s after the freeze",
        waited.as_secs_f64()
    );
    assert!(waited < Duration::from_secs(15), "{waited:?}");
    replicas[1].signal("CONT");
    counting.assert_no_post_twice();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_fails_if_no_replica_answers() {
    let replica = service_with(allow_loopback()).await;
    let builder = Client::builder().give_up_after(Duration::from_millis(500));
    let client = builder.connect(&replica.url).await.unwrap();
    let url = replica.url.clone();
    drop(replica);
    let begun = Instant::now();
    let results = client.fetch_all(vec!["http://127.0.0.1:1/"; 10_000]).await;
    assert_eq!(results.len(), 10_000);
    for result in results {
        let error = result.unwrap_err();
        let address = url.trim_start_matches("http://");
        assert!(error.to_string().contains(address), "{error}");
    }
    let single = client.execute("http://127.0.0.1:1/").await;
    assert!(single.is_err());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_start_during_an_outage_give_up_as_well() {
    const LIMIT: Duration = Duration::from_millis(500);

    let replica = service_with(allow_loopback()).await;
    let builder = Client::builder().give_up_after(LIMIT);
    let client = builder.connect(&replica.url).await.unwrap();
    drop(replica);
    let calls = (0..20).map(|index| {
        let client = client.clone();
        async move {
            tokio::time::sleep(LIMIT / 4 * index).await;
            let begun = Instant::now();
            if index % 2 == 0 {
                assert!(client.execute("http://127.0.0.1:1/").await.is_err());
            } else {
                assert!(client.fetch_all(["http://127.0.0.1:1/"]).await[0].is_err());
            }
            begun.elapsed()
        }
    });
    let times = within_timeout(join_all(calls)).await;
    assert!(times.iter().all(|time| *time < 4 * LIMIT), "{times:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_list_continues_once_its_service_is_back() {
    let counting = Counting::new(Duration::ZERO).await;
    let replica = service_with(allow_loopback()).await;
    let url = replica.url.clone();
    let give_up_after = Duration::from_millis(300);
    let builder = Client::builder().give_up_after(give_up_after);
    let client = builder.connect(&url).await.unwrap();
    let (requests, list) = tokio::sync::mpsc::unbounded_channel::<Request>();
    let list =
        futures_util::stream::unfold(list, async |mut list| Some((list.recv().await?, list)));
    let mut outcomes = client.fetch_stream(list).outcomes();
    let mut next = async |path: &str| {
        requests
            .send(Request::get(counting.origin.url(path)))
            .unwrap();
        let begun = Instant::now();
        let outcome = within_timeout(outcomes.next()).await.unwrap();
        (outcome.error, begun.elapsed())
    };
    assert!(next("there").await.0.is_none());
    drop(replica);
    // Now there's no replica left. Every request fails once the client gives up waiting.
    for _ in 0..2 {
        let (error, waited) = next("gone").await;
        assert!(error.is_some() && waited < 20 * give_up_after, "{waited:?}");
    }
    let address = url.trim_start_matches("http://");
    let _back = service_at(address, allow_loopback()).await;
    within_timeout(async { while next("back").await.0.is_some() {} }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_request_is_lost_to_a_replica_with_lower_limits() {
    let counting = Counting::new(Duration::from_millis(1)).await;
    let mut strict = allow_loopback();
    strict.limits.max_batch_requests = 2;
    let replicas = [
        service_with(strict).await,
        service_with(allow_loopback()).await,
    ];
    let urls = replicas.each_ref().map(|replica| replica.url.clone());
    let client = Client::connect(urls.join(",")).await.unwrap();
    let lost = fetch(&client, counting.requests("strict", 400), "strict").await;
    assert!(lost.is_empty(), "{lost:?}");
    counting.assert_no_post_twice();
}

/// How many rounds [`no_get_is_lost_if_replicas_fail_at_random`] makes. Can be changed
/// with `FETCHD_TEST_ROUNDS`.
fn rounds() -> u64 {
    let rounds = std::env::var("FETCHD_TEST_ROUNDS").ok();
    rounds.map_or(4, |rounds| rounds.parse().unwrap())
}

/// How a replica fails during a round.
enum ReplicaFault {
    /// Send this signal to the process.
    Signal(Process, &'static str),
    /// Either the replica or the connection to it is faulty from the beginning.
    Faulty(#[allow(dead_code)] Option<Process>, FakeReplica),
}

impl ReplicaFault {
    async fn random(random: &mut StdRng) -> Self {
        let address = |process: &Process| process.address().parse::<SocketAddr>().unwrap();
        let serve = || Process::serve(&["--drain-timeout", "100ms"]);
        match random.random_range(0..6) {
            0 => Self::Signal(serve(), "KILL"),
            1 => Self::Signal(serve(), "TERM"),
            2 => Self::Signal(serve(), "STOP"),
            3 => {
                let kind = random.random_range(0..=Fault::ANSWERING.len());
                let kind = Fault::ANSWERING.get(kind).unwrap_or(&Fault::Silent);
                Self::Faulty(None, faulty_replica(*kind).await)
            }
            4 => {
                let process = serve();
                let bytes = random.random_range(100..20_000);
                let proxy = truncating_proxy(address(&process), bytes).await;
                Self::Faulty(Some(process), proxy)
            }
            _ => {
                let process = serve();
                let delay = Duration::from_millis(random.random_range(1..200));
                let proxy = delaying_proxy(address(&process), delay).await;
                Self::Faulty(Some(process), proxy)
            }
        }
    }

    fn url(&self) -> &str {
        match self {
            Self::Signal(process, _) => &process.url,
            Self::Faulty(_, listening) => &listening.url,
        }
    }

    fn inject(&self) {
        if let Self::Signal(process, signal) = self {
            process.signal(signal);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_get_is_lost_if_replicas_fail_at_random() {
    let counting = Counting::new(Duration::from_millis(5)).await;
    let healthy = Process::serve(&[]);
    let (mut lost, mut longest) = (0, Duration::ZERO);
    for round in 0..rounds() {
        let mut random = StdRng::seed_from_u64(round);
        let mut faults = Vec::new();
        for _ in 0..3 {
            faults.push(ReplicaFault::random(&mut random).await);
        }
        let mut urls: Vec<_> = faults.iter().map(ReplicaFault::url).collect();
        urls.push(&healthy.url);
        let client = Client::builder()
            .silence_timeout(Duration::from_secs(1))
            .keepalive_interval(Duration::from_millis(300))
            .keepalive_timeout(Duration::from_millis(300));
        let client = within_timeout(client.connect(urls.join(",")))
            .await
            .unwrap();
        let begun = Instant::now();
        let injecting = async {
            for fault in &faults {
                // A round's requests take about this long.
                let wait = random.random_range(0..50);
                tokio::time::sleep(Duration::from_millis(wait)).await;
                fault.inject();
            }
        };
        let name = format!("round{round}");
        let fetching = fetch(&client, counting.requests(&name, 600), &name);
        lost += tokio::join!(injecting, fetching).1.len();
        longest = longest.max(begun.elapsed());
    }
    counting.assert_no_post_twice();
    println!(
        "{} rounds of 600: no GET lost, {lost} POSTs, none twice; the longest took {longest:?}",
        rounds()
    );
}
