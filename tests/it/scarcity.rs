//! Tests with exhausted file descriptors, unanswered SYNs, interim responses that never
//! end, and timeouts that never elapse.

use std::{
    net::IpAddr,
    process::Command,
    time::{Duration, Instant},
};

use fetchd::{
    client::{Client, Request},
    proto::Reason,
};
use futures_util::StreamExt;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpListener, TcpStream},
    task::spawn_blocking,
};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::support::{
    Answer, Dns, Origin, Process, RawOrigin, allow_loopback,
    caller::{self, loopback},
    fill_backlog,
    metrics::get,
    reply, service, service_with, short_backlog_at, until, within_timeout,
};

#[tokio::test(flavor = "multi_thread")]
async fn endless_interim_responses_are_a_protocol_error() {
    let endless = RawOrigin::endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n", Duration::ZERO).await;
    let service = Process::serve(&[]);
    let client = Client::connect(&service.url).await.unwrap();
    let begun = Instant::now();
    let urls = (0..200).map(|_| Request::get(endless.url()));
    let mut outcomes = client.fetch(urls).outcomes();
    while let Some(outcome) = within_timeout(outcomes.next()).await {
        let error = outcome.error.unwrap();
        assert_eq!(error.reason(), Some(Reason::Protocol), "{error}");
        assert!(error.to_string().contains("interim"), "{error}");
        assert_eq!(outcome.stats.attempts, 1);
    }
    let took = begun.elapsed();
    println!("200 responses of endless 100 Continue: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_can_connect_if_fetches_have_used_up_the_file_descriptors() {
    const FILES: usize = 100;

    let origin = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = origin.local_addr().unwrap().port();
    let mut silent = Vec::new();
    let service = Process::serve_with_file_limit(FILES, &["--max-connections", "16"]);
    let client = Client::connect(&service.url).await.unwrap();
    // Every address counts as another host. It accepts the connection and then never
    // answers.
    let urls = (0..200).map(|host| {
        Request::get(format!("http://127.0.1.{host}:{port}/"))
            .max_attempts(1)
            .timeout(Duration::from_secs(60))
    });
    let mut outcomes = client.fetch(urls).concurrency(200).outcomes();
    let mut lacking = 0;
    // A request either gets a connection, or fails because we're out of file descriptors.
    while lacking + silent.len() < 200 {
        let outcome = within_timeout(async {
            tokio::select! {
                accepted = origin.accept() => {
                    silent.push(accepted.unwrap());
                    None
                }
                outcome = outcomes.next() => Some(outcome.expect("a silent origin ends no request")),
            }
        });
        if let Some(outcome) = outcome.await {
            let error = outcome.error.unwrap();
            assert_eq!(error.reason(), Some(Reason::Internal), "{error}");
            assert!(error.to_string().contains("file descriptor"), "{error}");
            assert!(error.is_retryable(), "{error}");
            lacking += 1;
        }
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..10 {
        let begun = Instant::now();
        let endpoint = tonic::transport::Endpoint::from_shared(service.url.clone()).unwrap();
        let mut health = HealthClient::new(within_timeout(endpoint.connect()).await.unwrap());
        let check = health.check(HealthCheckRequest::default());
        assert_eq!(within_timeout(check).await.unwrap().into_inner().status, 1);
        slowest = slowest.max(begun.elapsed());
    }
    println!("{lacking} of 200 requests had none of {FILES} files; the slowest check: {slowest:?}");
    assert!((100..190).contains(&lacking), "{lacking}");
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_can_connect_if_idle_connections_have_used_up_the_file_descriptors() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = Process::serve_with_file_limit(64, &[]);
    let mut idle = Vec::new();
    for _ in 0..100 {
        let mut stream = caller::stream(&service.url, loopback(2)).await.unwrap();
        // These bytes open the connection. Without them, we'd drop it soon enough anyway.
        let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        stream.write_all(opening).await.unwrap();
        idle.push(stream);
    }
    let begun = Instant::now();
    let channel = within_timeout(caller::channel(&service.url, loopback(1))).await;
    let mut health = HealthClient::new(channel.unwrap());
    let check = health.check(HealthCheckRequest::default());
    assert_eq!(within_timeout(check).await.unwrap().into_inner().status, 1);
    let checked = begun.elapsed();
    let client = Client::connect(&service.url).await.unwrap();
    assert!(within_timeout(client.fetch_all([origin.url("")])).await[0].is_ok());
    let served = begun.elapsed();
    println!("beside 100 idle connections: a check after {checked:?}, a batch after {served:?}");
    assert!(served < Duration::from_secs(10), "{served:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn unfinished_requests_do_not_keep_the_admin_listener_busy() {
    let service = Process::serve(&[]);
    let mut unfinished = Vec::new();
    for _ in 0..200 {
        let connecting = within_timeout(TcpStream::connect(&service.admin));
        let mut stream = connecting.await.unwrap();
        // It's been closed already if this fails.
        let _ = stream.write_all(b"GET / HT").await;
        unfinished.push(stream);
    }
    let begun = Instant::now();
    let (status, _) = within_timeout(get(&service.admin, "/healthz")).await;
    assert_eq!(status, 200);
    let took = begun.elapsed();
    println!("beside 200 unfinished requests: {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_unresponsive_addresses_fails_within_its_timeouts() {
    // Nobody accepts connections here, and the backlog is full.
    let addresses: Vec<IpAddr> = (1..=6)
        .map(|last| IpAddr::from([127, 0, 2, last]))
        .collect();
    let mut holes = vec![short_backlog_at((addresses[0], 0).into())];
    let port = holes[0].local_addr().unwrap().port();
    for address in &addresses[1..] {
        holes.push(short_backlog_at((*address, port).into()));
    }
    let mut filling = Vec::new();
    for hole in &holes {
        filling.push(fill_backlog(hole).await);
    }
    let answer = addresses.clone();
    let dns = Dns::new(move |_| Answer::Addresses(answer.clone())).await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    let service = service_with(config).await;
    let client = service.client().await;
    let hole = |timeout, attempts| {
        Request::get(format!("http://hole.test:{port}/"))
            .connect_timeout(timeout)
            .max_attempts(attempts)
    };
    let connect = Duration::from_millis(400);
    let requests = [
        hole(connect, 3),
        // `connect_timeout` is longer than `timeout`, so it's the latter that ends the
        // request.
        hole(Duration::from_secs(60), 10).timeout(Duration::from_secs(1)),
    ];
    let begun = Instant::now();
    let outcomes: Vec<_> = within_timeout(client.fetch(requests).in_order().collect()).await;
    let took = begun.elapsed();
    for (outcome, reason) in outcomes.iter().zip([Reason::Connect, Reason::Timeout]) {
        let error = outcome.error.as_ref().unwrap();
        println!("{:?}: {error}", outcome.stats.total);
        assert_eq!(error.reason(), Some(reason), "{error}");
    }
    assert_eq!(outcomes[0].stats.attempts, 3);
    // Back-off can't add more than 200 and 400 ms.
    assert!(took < 3 * connect + Duration::from_secs(2), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn timeouts_that_never_elapse_are_accepted() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let long = "584542046090y";
    let service = Process::serve(&[
        "--max-connection-age",
        long,
        "--stall-timeout",
        long,
        "--drain-delay",
        long,
        "--drain-timeout",
        long,
    ]);
    let client = Client::connect(&service.url).await.unwrap();
    let results = within_timeout(client.fetch_all(vec![origin.url(""); 10])).await;
    assert!(results.iter().all(Result::is_ok));
    // There's a separate age limit for the second connection.
    let client = Client::connect(&service.url).await.unwrap();
    assert!(within_timeout(client.fetch_all([origin.url("")])).await[0].is_ok());
    // With the second signal, both the delay and the drain are over.
    service.signal("TERM");
    within_timeout(async { while get(&service.admin, "/readyz").await.0 != 503 {} }).await;
    drop(client);
    let ended = tokio::task::spawn_blocking(move || {
        let log = service.into_log();
        assert!(log.iter().all(|line| !line.contains("panic")), "{log:#?}");
    });
    within_timeout(ended).await.unwrap();

    let mut config = allow_loopback();
    config.limits.max_connection_age = Duration::MAX;
    config.limits.stall_timeout = Duration::MAX;
    config.drain_delay = Duration::MAX;
    config.drain_timeout = Duration::MAX;
    let service = service_with(config).await;
    let client = service.client().await;
    assert!(within_timeout(client.fetch_all([origin.url("")])).await[0].is_ok());
    service.shutdown.request();
    service.shutdown.request();
    drop(client);
    until(|| service.serving.is_finished()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_some_servers_confuse_with_others_are_refused() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let service = service().await;
    let client = service.client().await;
    for name in [
        "Transfer_Encoding",
        "transfer_encoding",
        "Content_Length",
        "HTTP2-Settings",
        "http2_settings",
        "Keep_Alive",
        "Proxy_Connection",
    ] {
        let request = Request::get(origin.url("")).header(name, "1");
        let outcome = within_timeout(client.fetch([request]).outcomes().next())
            .await
            .unwrap();
        let error = outcome.error.unwrap();
        assert_eq!(
            error.reason(),
            Some(Reason::InvalidRequest),
            "{name}: {error}"
        );
        let message = error.to_string().to_lowercase();
        assert!(message.contains(&name.to_lowercase()), "{name}: {error}");
    }
    // In general, underscores in names are fine.
    let request = Request::get(origin.url("")).header("x_trace", "1");
    let outcome = within_timeout(client.fetch([request]).outcomes().next())
        .await
        .unwrap();
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    assert_eq!(origin.seen(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn get_reaches_more_hosts_than_it_may_open_files() {
    let mut origins = Vec::new();
    for _ in 0..200 {
        origins.push(Origin::new(|_| async { reply("there") }).await);
    }
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 64; exec \"$0\" \"$@\""]);
    command.args([env!("CARGO_BIN_EXE_fetchd"), "get"]);
    command.args(["--no-body", "--allow-net", "127.0.0.0/8"]);
    command.args(origins.iter().map(|origin| origin.url("")));
    let output = spawn_blocking(move || command.output().unwrap());
    let output = within_timeout(output).await.unwrap();
    let summary = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{summary}");
}
