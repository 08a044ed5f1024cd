//! The metrics change as their descriptions say.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use fetchd::{
    client::{Client, Request},
    config::Config,
    proto::FetchBatchRequest,
    server::{Server, Shutdown},
};
use hickory_resolver::proto::op::ResponseCode;
use tokio::{net::TcpListener, task::JoinSet};

use crate::support::{
    Answer, Authority, Dns, Origin, Process, RawOrigin, allow_loopback, eventually, gated_origin,
    metrics::{get, metrics},
    raw_client, reply, requests, within_timeout,
};

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A service in this process, with an admin listener. Dropping it stops the service.
struct Service {
    url: String,
    admin: String,
    _serving: JoinSet<std::io::Result<()>>,
}

impl Service {
    async fn new(config: Config) -> Self {
        let server = Server::new(config).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let admin = admin_listener.local_addr().unwrap().to_string();
        let mut serving = JoinSet::new();
        serving.spawn(server.admin().serve(admin_listener));
        serving.spawn(server.serve(listener, Shutdown::new()));
        Self {
            url,
            admin,
            _serving: serving,
        }
    }

    async fn value(&self, name: &str) -> f64 {
        metrics(&self.admin).await[name]
    }

    /// Waits until the metric has this value.
    async fn reaches(&self, name: &str, value: f64) {
        eventually(async || self.value(name).await == value).await;
    }
}

fn connections(side: &str, state: &str) -> String {
    format!("fetchd_connections{{side=\"{side}\",state=\"{state}\"}}")
}

async fn fetch_once(client: &Client, url: &str) -> bool {
    let request = Request::get(url)
        .connect_timeout(Duration::from_millis(200))
        .max_attempts(1);
    within_timeout(client.execute(request)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_and_queued_bytes_rise_and_return_to_zero() {
    const COUNT: usize = 3;
    let mut config = allow_loopback();
    config.origins.pool_idle_timeout = Duration::from_secs(2);
    let service = Service::new(config).await;
    let (origin, gate) = gated_origin().await;
    let mut client = raw_client(&service.url).await;
    service.reaches(&connections("caller", "idle"), 1.0).await;
    assert_eq!(service.value("fetchd_queued_bytes").await, 0.0);

    let batch = FetchBatchRequest {
        requests: requests((0..COUNT).map(|_| origin.url(""))),
        ..Default::default()
    };
    for round in 0..2 {
        let mut messages = client
            .fetch_batch(batch.clone())
            .await
            .unwrap()
            .into_inner();
        service.reaches(&connections("origin", "active"), 3.0).await;
        let now = metrics(&service.admin).await;
        assert_eq!(now[&connections("origin", "idle")], 0.0);
        assert_eq!(now[&connections("caller", "active")], 1.0);
        assert_eq!(now[&connections("caller", "idle")], 0.0);
        // A call counts as 16 KiB, in addition to its message and 16 bytes for each request.
        let queued = now["fetchd_queued_bytes"] as usize;
        assert!((16_384 + 48..17_000).contains(&queued), "{queued}");
        assert_eq!(now["fetchd_connections_opened_total"], 3.0);
        assert_eq!(now["fetchd_connections_reused_total"], 3.0 * round as f64);

        gate.add_permits(COUNT);
        while within_timeout(messages.message()).await.unwrap().is_some() {}
        service.reaches("fetchd_queued_bytes", 0.0).await;
        service.reaches(&connections("caller", "idle"), 1.0).await;
        if round == 0 {
            let now = metrics(&service.admin).await;
            assert_eq!(now[&connections("origin", "active")], 0.0);
            assert_eq!(now[&connections("origin", "idle")], 3.0);
            gate.forget_permits(COUNT);
        }
    }
    drop(client);
    service.reaches(&connections("caller", "idle"), 0.0).await;
    service.reaches(&connections("origin", "idle"), 0.0).await;
    // Now that no connection is idle, any that was not counted as closed would be active.
    service.reaches(&connections("origin", "active"), 0.0).await;
    service.reaches(&connections("caller", "active"), 0.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_look_up_is_timed_unless_the_cache_answers_it() {
    let dns = Dns::new(|name| match name {
        "broken.test" => Answer::Code(ResponseCode::ServFail),
        "silent.test" => Answer::NoReply,
        _ => Answer::Addresses(vec![LOCAL, IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)]),
    })
    .await;
    let origin = Origin::new(|request| async move {
        let mut reply = reply("there");
        let headers = reply.headers_mut();
        headers.insert("connection", "close".parse().unwrap());
        if let Some(port) = request.uri().path().strip_prefix("/to/") {
            let location = format!("http://second.test:{port}/");
            headers.insert("location", location.parse().unwrap());
            *reply.status_mut() = http::StatusCode::FOUND;
        }
        reply
    })
    .await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    let service = Service::new(config).await;
    let client = Client::connect(&service.url).await.unwrap();
    let port = origin.address.port();
    for (url, succeeds, expected) in [
        (origin.url(""), true, 0.0),
        (format!("http://first.test:{port}/"), true, 1.0),
        (format!("http://first.test:{port}/"), true, 1.0),
        // A redirect to another name.
        (format!("http://third.test:{port}/to/{port}"), true, 3.0),
        ("http://broken.test/".to_owned(), false, 4.0),
        ("http://silent.test/".to_owned(), false, 5.0),
    ] {
        assert_eq!(fetch_once(&client, &url).await, succeeds, "{url}");
        let count = service.value("fetchd_dns_duration_seconds_count").await;
        assert_eq!(count, expected, "{url}");
    }
    // The one that was cut off by `connect_timeout` took its time.
    let sum = service.value("fetchd_dns_duration_seconds_sum").await;
    assert!(sum > 0.1, "{sum}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_handshake_with_an_origin_is_timed() {
    let authority = Authority::new();
    let trusted = RawOrigin::encrypted(authority.acceptor("localhost")).await;
    let untrusted = RawOrigin::encrypted(Authority::new().acceptor("localhost")).await;
    let silent = RawOrigin::new(|stream| async {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let mut config = allow_loopback();
    config.origins.extra_roots = vec![authority.root()];
    let service = Service::new(config).await;
    let client = Client::connect(&service.url).await.unwrap();
    for (origin, succeeds, expected) in [
        (&trusted, true, 1.0),
        (&untrusted, false, 2.0),
        (&silent, false, 3.0),
    ] {
        let url = format!("https://localhost:{}/", origin.address.port());
        assert_eq!(fetch_once(&client, &url).await, succeeds, "{url}");
        let count = service.value("fetchd_tls_duration_seconds_count").await;
        assert_eq!(count, expected, "{url}");
    }
    assert_eq!(service.value("fetchd_connections_opened_total").await, 1.0);
    let slow = "fetchd_tls_duration_seconds_bucket{le=\"0.1\"}";
    assert!(service.value(slow).await <= 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_budget_that_denies_retries_is_exhausted() {
    let failing = Origin::new(|_| async {
        let mut reply = reply("");
        *reply.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        reply
            .headers_mut()
            .insert("retry-after", "0".parse().unwrap());
        reply
    })
    .await;
    let healthy = Origin::new(|_| async { reply("there") }).await;
    let service = Service::new(allow_loopback()).await;
    let client = Client::connect(&service.url).await.unwrap();
    assert!(fetch_once(&client, &healthy.url("")).await);
    let budget = |state| format!("fetchd_retry_budget{{state=\"{state}\"}}");
    let now = metrics(&service.admin).await;
    assert_eq!(
        (now[&budget("available")], now[&budget("exhausted")]),
        (1.0, 0.0)
    );
    assert_eq!(now["fetchd_retries_denied_total"], 0.0);

    // 1,500 retries are wanted. 100 and a fifth of the requests are allowed.
    let urls: Vec<_> = (0..500).map(|index| failing.url(index)).collect();
    let list = urls.iter().map(|url| Request::get(url).max_attempts(4));
    let outcomes = within_timeout(client.fetch(list).concurrency(100).all()).await;
    assert_eq!(outcomes.len(), 500);
    let now = metrics(&service.admin).await;
    assert_eq!(
        (now[&budget("available")], now[&budget("exhausted")]),
        (1.0, 1.0)
    );
    let retries = now["fetchd_retries_total{cause=\"503\"}"];
    assert_eq!(retries as usize, failing.seen() - 500);
    // A request is denied one retry at most, and ends with that.
    let denied = now["fetchd_retries_denied_total"];
    assert!((300.0..=500.0).contains(&denied), "{denied}");
}

/// Fetches with as many outcomes as possible.
async fn use_the_service(service: &Process, origin: &Origin, token: &str) {
    let client = Client::builder().token(token);
    let client = client.connect(&service.url).await.unwrap();
    let mut urls = vec![
        "http://10.1.2.3/".to_owned(),
        "http://[::1]/".to_owned(),
        "http://[2002::1]/".to_owned(),
        // A label that's too long, so no name server is asked.
        format!("http://{}.invalid/", "nowhere".repeat(10)),
        "http://127.0.0.1:1/".to_owned(),
        "ftp://127.0.0.1/".to_owned(),
        format!("https://{}/", origin.address),
        service.url.clone(),
    ];
    urls.extend([200, 204, 404, 408, 500, 503].map(|status| origin.url(status)));
    let list = urls.iter().map(|url| Request::get(url).max_attempts(2));
    within_timeout(client.fetch(list).all()).await;
    let stranger = Client::connect(&service.url).await.unwrap();
    assert!(
        stranger
            .execute(Request::get(origin.url("")))
            .await
            .is_err()
    );
}

async fn origin_with_all_statuses() -> Origin {
    Origin::new(|request| async move {
        let mut reply = reply("there");
        let status = request.uri().path()[1..].parse().unwrap_or_default();
        *reply.status_mut() = status;
        reply
    })
    .await
}

fn token_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "reports 0123456789abcdef0123456789abcdef\n").unwrap();
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn all_series_exist_from_the_start() {
    let file = token_file();
    let service = Process::serve(&["--auth-token-file", file.path().to_str().unwrap()]);
    let origin = origin_with_all_statuses().await;
    let before = metrics(&service.admin).await;
    use_the_service(&service, &origin, "0123456789abcdef0123456789abcdef").await;
    let after = metrics(&service.admin).await;
    let names = |metrics: &BTreeMap<String, f64>| metrics.keys().cloned().collect::<BTreeSet<_>>();
    let new = &names(&after) - &names(&before);
    assert!(new.is_empty(), "{new:?}");
    assert_eq!(before.len(), after.len());

    let changed = |prefix: &str| {
        let series = after.iter().filter(|(name, _)| name.starts_with(prefix));
        series.filter(|(_, value)| **value > 0.0).count()
    };
    assert!(changed("fetchd_fetches_total") >= 6);
    assert_eq!(changed("fetchd_egress_denied_total"), 4);
    assert!(changed("fetchd_retries_total") >= 3);
    assert_eq!(after["fetchd_limit{limit=\"max-in-flight\"}"], 1024.0);
    assert_eq!(after["fetchd_limit{limit=\"max-batches\"}"], 256.0);
    assert_eq!(
        after["fetchd_limit{limit=\"max-queued-bytes\"}"],
        (256 << 20) as f64
    );
    assert_eq!(after["fetchd_limit{limit=\"max-connections\"}"], 4096.0);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        after[&format!("fetchd_build_info{{version=\"{version}\"}}")],
        1.0
    );
    println!("{} series", after.len());
    assert!(after.len() < 250, "{}", after.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_metric_names_a_url_a_host_or_an_address() {
    let file = token_file();
    let service = Process::serve(&["--auth-token-file", file.path().to_str().unwrap()]);
    let origin = origin_with_all_statuses().await;
    use_the_service(&service, &origin, "0123456789abcdef0123456789abcdef").await;
    let (_, text) = get(&service.admin, "/metrics").await;
    let port = origin.address.port().to_string();
    for secret in [
        "127.0.0.1",
        "10.1.2.3",
        "2002:",
        "nowhere",
        "localhost",
        "http",
        &port,
    ] {
        let lines = text.lines().filter(|line| line.starts_with("fetchd_"));
        let labels = lines.filter_map(|line| line.split_once('{')?.1.split_once('}'));
        assert!(labels.clone().count() > 100);
        for (labels, _) in labels {
            assert!(!labels.contains(secret), "{labels} contains {secret}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_of_the_documentation_is_complete() {
    let file = token_file();
    let service = Process::serve(&["--auth-token-file", file.path().to_str().unwrap()]);
    let (_, text) = get(&service.admin, "/metrics").await;
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let types: Vec<_> = types.filter_map(|line| line.split_once(' ')).collect();
    let exposed: BTreeMap<_, _> = types
        .iter()
        .filter(|(name, _)| name.starts_with("fetchd_"))
        .map(|(name, kind)| {
            let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
            let labels = lines.find_map(|line| line.strip_prefix('{')?.split_once('}'));
            let labels = labels.map_or("", |(labels, _)| labels).split(',');
            let names = labels.filter_map(|label| label.split_once('='));
            let names: Vec<_> = names.map(|(name, _)| name.to_owned()).collect();
            ((*name).to_owned(), ((*kind).to_owned(), names))
        })
        .collect();

    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (_, section) = page.split_once("\n## Metrics\n").unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let documented: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let labels = cells[2].split(", ").map(|label| label.trim_matches('`'));
            let labels: Vec<_> = labels
                .filter(|label| !label.is_empty())
                .map(str::to_owned)
                .collect();
            assert!(!cells[3].is_empty(), "{row}");
            (
                cells[0].trim_matches('`').to_owned(),
                (cells[1].to_owned(), labels),
            )
        })
        .collect();
    assert_eq!(documented, exposed);
}
