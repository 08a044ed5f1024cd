//! A client with several replicas. If one of them stops, no request is lost and no POST
//! is sent twice. Also, each replica gets its share of the requests.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use fetchd::{
    client::{Client, Error, Outcome, Request},
    proto::Reason,
};
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use crate::support::{
    Answer, Dns, Origin, Process, Service, allow_loopback,
    namespace::{self, Network},
    reply, service_at, service_with, until, within_timeout,
};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// How many rounds [`no_get_is_lost_if_replicas_stop`] makes. Can be changed with
/// `FETCHD_TEST_ROUNDS`.
fn rounds() -> u64 {
    let rounds = std::env::var("FETCHD_TEST_ROUNDS").ok();
    rounds.map_or(5, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_get_is_lost_if_replicas_stop() {
    const REQUESTS: usize = 2000;

    let posts: Arc<Mutex<HashMap<String, usize>>> = Arc::default();
    let noted = Arc::clone(&posts);
    let origin = Origin::new(move |request| {
        if request.method() == "POST" {
            let path = request.uri().path().to_owned();
            *noted.lock().unwrap().entry(path).or_default() += 1;
        }
        async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            reply("there")
        }
    })
    .await;
    let (mut lost, mut again) = (0, 0);
    for round in 0..rounds() {
        let before = origin.seen();
        let services = [(); 3].map(|()| Process::serve(&["--drain-timeout", "0s"]));
        let urls = services.each_ref().map(|service| service.url.clone());
        let client = Client::connect(urls.join(",")).await.unwrap();
        let requests = (0..REQUESTS).map(|index| {
            let url = origin.url(format_args!("{round}/{index}"));
            match index % 10 {
                0 => Request::post(url, "once"),
                _ => Request::get(url),
            }
        });
        let fetch = client.fetch(requests).concurrency(200).outcomes();
        let fetching = tokio::spawn(fetch.collect::<Vec<Outcome>>());
        // In each round, send the signals at a different time.
        let [killed, drained, _running] = services;
        let seen = |percent| before + REQUESTS * percent / 100;
        let percent = round as usize * 19 % 80;
        until(|| origin.seen() >= seen(percent)).await;
        killed.signal("KILL");
        until(|| origin.seen() >= seen(percent + round as usize * 12 % 20)).await;
        drained.signal("TERM");

        let mut outcomes = within_timeout(fetching).await.unwrap();
        outcomes.sort_by_key(|outcome| outcome.index);
        assert!(outcomes.iter().map(|outcome| outcome.index).eq(0..REQUESTS));
        for outcome in &outcomes {
            let Some(error) = &outcome.error else {
                continue;
            };
            // Only a POST is allowed to fail, since its origin may have seen it.
            let is_lost = matches!(error, Error::ServiceLost { .. } | Error::Call { .. })
                || error.reason() == Some(Reason::ShuttingDown);
            assert!(
                outcome.index % 10 == 0 && is_lost,
                "round {round}: {outcome:?}"
            );
            lost += 1;
        }
        again += (origin.seen() - before).saturating_sub(REQUESTS);
    }
    let posts = posts.lock().unwrap();
    assert!(
        posts.values().all(|count| *count == 1),
        "a POST was received twice"
    );
    println!(
        "{} rounds: {lost} POSTs lost, {again} GETs sent again, {} POSTs received, none twice",
        rounds(),
        posts.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_replica_is_not_used() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = service_with(allow_loopback()).await;
    let client = Client::connect(format!("http://127.0.0.1:1, {}", service.url)).await;
    let client = client.unwrap();
    let begun = Instant::now();
    let results = client
        .fetch_all((0..300).map(|index| origin.url(index)))
        .await;
    assert!(results.iter().all(Result::is_ok));
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert_eq!(origin.seen(), 300);
    let error = Client::connect("http://127.0.0.1:1,http://127.0.0.1:2").await;
    assert!(error.is_err());
    for wrong in ["", "nonsense", "http://a,ftp://b"] {
        assert!(Client::connect(wrong).await.is_err(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_request_goes_to_another_replica_too() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let dns = Dns::new(|_| Answer::Addresses(vec![LOCAL])).await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    let stays = service_with(config.clone()).await;
    let goes = service_with(config).await;
    let client = Client::connect(format!("{},{}", stays.url, goes.url))
        .await
        .unwrap();
    drop(goes);
    for index in 0..20 {
        let url = format!("http://h{index}.test:{}/", origin.address.port());
        let response = within_timeout(client.execute(url)).await.unwrap();
        assert_eq!(response.text().await.unwrap(), "there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_ends_requests_if_no_service_answers() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve(&[]);
    let client = Client::connect(&service.url).await.unwrap();
    assert!(client.fetch_all([origin.url("")]).await[0].is_ok());
    service.signal("STOP");
    let begun = Instant::now();
    let fetch = client.fetch((0..20).map(|_| origin.url("")));
    let outcomes: Vec<Outcome> = fetch
        .timeout(Duration::from_millis(300))
        .outcomes()
        .collect()
        .await;
    assert_eq!(outcomes.len(), 20);
    for outcome in outcomes {
        let reason = outcome.error.as_ref().and_then(|error| error.reason());
        assert_eq!(reason, Some(Reason::BatchDeadline), "{:?}", outcome.error);
    }
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    service.signal("CONT");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_full_service_is_retried() {
    let origin = Origin::new(|_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        reply("there")
    })
    .await;
    let mut config = allow_loopback();
    config.limits.max_batches = Some(1);
    let service = service_with(config).await;
    let clients = [service.client().await, service.client().await];
    let [one, two] = clients.each_ref().map(|client| {
        client.fetch_all([
            Request::post(origin.url(""), "once"),
            Request::get(origin.url("")),
        ])
    });
    let (one, two) = within_timeout(async { tokio::join!(one, two) }).await;
    assert!(one.iter().chain(&two).all(Result::is_ok), "{one:?} {two:?}");
    assert_eq!(origin.seen(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_list_is_not_read_ahead_of_its_results() {
    let gate = Arc::new(Semaphore::new(0));
    let opened = Arc::clone(&gate);
    let origin = Origin::new(move |request| {
        let gate = Arc::clone(&opened);
        async move {
            if request.uri().path() == "/0" {
                let _ = gate.acquire().await;
            }
            reply(request.uri().path().to_owned())
        }
    })
    .await;
    let service = service_with(allow_loopback()).await;
    let client = service.client().await;
    let counter = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&counter);
    let base = origin.url("");
    let endless = stream::iter(0_usize..).map(move |index| {
        counted.fetch_add(1, Ordering::SeqCst);
        format!("{base}{index}")
    });
    let mut in_order = client.fetch_stream(endless).concurrency(100).in_order();
    // The other results have to wait for the first one. At some point, no more requests
    // are sent.
    let is_idle = || {
        let taken = counter.load(Ordering::SeqCst);
        taken >= 10_000 && origin.in_flight() == 1 && origin.seen() == taken
    };
    tokio::select! {
        outcome = in_order.next() => panic!("expected no result before the first, got {outcome:?}"),
        () = until(is_idle) => {}
    }
    let taken = counter.load(Ordering::SeqCst);
    println!("{taken} taken while the first result is missing");
    // For each request that may be in flight, a service is given 40 requests.
    assert!(taken <= 10_000 + 40 * 100, "{taken}");
    gate.add_permits(1);
    for index in 0..20_000 {
        let outcome = within_timeout(in_order.next()).await.unwrap();
        assert_eq!(outcome.index, index);
        assert_eq!(outcome.response.unwrap().body, format!("/{index}"));
    }
}

/// Starts three services at fixed addresses. They have different user agents, so we can
/// tell them apart.
async fn replicas(dns: &Dns) -> Vec<Service> {
    let mut services = Vec::new();
    for replica in 0..3 {
        let mut config = allow_loopback();
        config.user_agent = format!("replica-{replica}");
        config.origins.name_servers = vec![dns.address];
        let address = format!("127.0.0.{}:50051", 11 + replica);
        services.push(service_at(&address, config).await);
    }
    services
}

/// Starts an origin that counts its requests for each replica and host.
async fn counting(delay: Duration) -> (Origin, Arc<Mutex<BTreeMap<(String, String), usize>>>) {
    let counts: Arc<Mutex<BTreeMap<_, usize>>> = Arc::default();
    let noted = Arc::clone(&counts);
    let origin = Origin::new(move |request| {
        let header = |name| request.headers()[name].to_str().unwrap().to_owned();
        let key = (header("user-agent"), header("host"));
        *noted.lock().unwrap().entry(key).or_default() += 1;
        async move {
            tokio::time::sleep(delay).await;
            reply("there")
        }
    })
    .await;
    (origin, counts)
}

#[test]
fn requests_are_shared_evenly_and_a_host_keeps_its_replica() {
    let name = "replicas::requests_are_shared_evenly_and_a_host_keeps_its_replica";
    if namespace::enter(name, "127.0.0.1 localhost\n") != Some(Network::Isolated) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dns = Dns::new(|_| Answer::Addresses(vec![LOCAL])).await;
        let (origin, counts) = counting(Duration::from_millis(20)).await;
        let _replicas = replicas(&dns).await;
        let urls = "http://127.0.0.11:50051,http://127.0.0.12:50051,http://127.0.0.13:50051";
        let client = Client::connect(urls).await.unwrap();
        let port = origin.address.port();
        let mixed = (0..30_000).map(|index| format!("http://h{}.test:{port}/", index % 300));
        let results = client.fetch(mixed).concurrency(600).all().await;
        assert!(results.iter().all(Result::is_ok));
        let counted = std::mem::take(&mut *counts.lock().unwrap());
        let (mut shares, mut hosts) = (BTreeMap::new(), BTreeMap::new());
        for ((replica, host), count) in &counted {
            *shares.entry(replica).or_insert(0) += count;
            let most = hosts.entry(host).or_insert(0);
            *most = (*most).max(*count);
        }
        let first_choice: usize = hosts.values().sum();
        println!("shares {shares:?}, {first_choice} at the first choice of their host");
        assert_eq!(shares.values().sum::<usize>(), 30_000);
        assert!(
            shares.len() == 3
                && shares
                    .values()
                    .all(|share| (7_500..=12_500).contains(share))
        );
        assert!(first_choice >= 24_000, "{first_choice}");

        // This is all for a single host, and more than its preferred replica should take.
        let single = (0..3_000).map(|_| format!("http://h0.test:{port}/"));
        let results = client.fetch(single).concurrency(600).all().await;
        assert!(results.iter().all(Result::is_ok));
        assert_eq!(counts.lock().unwrap().len(), 3, "{counts:?}");
    });
}

#[test]
fn replicas_follow_the_addresses_of_their_name() {
    let name = "replicas::replicas_follow_the_addresses_of_their_name";
    let hosts = "127.0.0.1 localhost\n127.0.0.11 headless\n";
    if namespace::enter(name, hosts) != Some(Network::Isolated) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let dns = Dns::new(|_| Answer::Addresses(vec![LOCAL])).await;
        let (origin, counts) = counting(Duration::from_millis(5)).await;
        let _replicas = replicas(&dns).await;
        let client = Client::connect("http://headless:50051").await.unwrap();
        let port = origin.address.port();
        let endless =
            stream::iter(0..).map(move |index| format!("http://h{}.test:{port}/", index % 50));
        let mut outcomes = client.fetch_stream(endless).concurrency(20).outcomes();
        let fetching = tokio::spawn(async move {
            while let Some(outcome) = outcomes.next().await {
                assert!(outcome.error.is_none(), "{outcome:?}");
            }
        });
        let seen = |replica: &str| {
            let counts = counts.lock().unwrap();
            counts.keys().any(|(name, _)| name == replica)
        };
        until(|| seen("replica-0")).await;
        assert!(!seen("replica-1"));
        std::fs::write("/etc/hosts", "127.0.0.11 headless\n127.0.0.12 headless\n").unwrap();
        let begun = Instant::now();
        until(|| seen("replica-1")).await;
        println!("used after {:?}", begun.elapsed());
        assert!(begun.elapsed() < Duration::from_secs(10));
        // If an address is removed, its replica doesn't get any more requests.
        std::fs::write("/etc/hosts", "127.0.0.12 headless\n").unwrap();
        until(|| {
            let mut counts = counts.lock().unwrap();
            let is_gone = !counts.keys().any(|(name, _)| name == "replica-0");
            if counts.values().sum::<usize>() > 1000 {
                counts.clear();
            }
            is_gone && counts.values().sum::<usize>() > 500
        })
        .await;
        assert!(!fetching.is_finished());
        fetching.abort();
    });
}
