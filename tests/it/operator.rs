//! The operator's settings for which destinations are allowed and how to reach them:
//! lists of hosts, networks and ports, certificates, and a proxy.

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::{
    client::{Client, Outcome, Request},
    config::Config,
    proto::Reason,
};
use futures_util::StreamExt;
use tokio::{
    io::{AsyncWriteExt, copy_bidirectional},
    net::TcpStream,
};

use crate::support::{
    Answer, Authority, Dns, Origin, Process, RawOrigin, TEST_TIMEOUT, allow_loopback, finish,
    read_head, reply, service_at, service_with, until, within_timeout,
};

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Checks that all `urls` are denied. Returns the messages.
async fn denials<S: AsRef<str>>(client: &Client, urls: &[S]) -> Vec<String> {
    let requests = urls.iter().map(|url| Request::get(url.as_ref()));
    let outcomes: Vec<Outcome> = within_timeout(client.fetch(requests).in_order().collect()).await;
    let errors = urls.iter().zip(outcomes).map(|(url, outcome)| {
        let error = outcome
            .error
            .unwrap_or_else(|| panic!("{} is allowed", url.as_ref()));
        assert_eq!(
            error.reason(),
            Some(Reason::Blocked),
            "{}: {error}",
            url.as_ref()
        );
        error.to_string()
    });
    errors.collect()
}

async fn text(client: &Client, url: &str) -> String {
    let response = within_timeout(client.execute(Request::get(url)))
        .await
        .unwrap();
    response.text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_fetches_nothing_from_itself() {
    let everything = || {
        let mut config = Config::default();
        config.egress.allow_net = ["0.0.0.0/0", "::/0"].map(|net| net.parse().unwrap()).into();
        config
    };
    let origin = Origin::new(|_| async { reply("there") }).await;
    for (listen, hosts) in [
        (
            "127.0.0.1:0",
            &["127.0.0.1", "0.0.0.0", "[::ffff:127.0.0.1]", "[::]"][..],
        ),
        (
            "0.0.0.0:0",
            &["127.0.0.1", "127.1.2.3", "localhost", "0.0.0.0"],
        ),
        (
            "[::]:0",
            &["127.0.0.1", "127.1.2.3", "[::1]", "localhost", "[::]"],
        ),
    ] {
        let service = service_at(listen, everything()).await;
        let client = service.client().await;
        let port = service.url.rsplit(':').next().unwrap();
        let urls: Vec<_> = hosts
            .iter()
            .map(|host| format!("http://{host}:{port}/"))
            .collect();
        for message in denials(&client, &urls).await {
            assert!(
                message.ends_with("the service itself listens there"),
                "{message}"
            );
        }
        assert_eq!(text(&client, &origin.url("")).await, "there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lists_of_the_command_line_are_applied() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let other = Origin::new(|_| async { reply("other") }).await;
    let port = origin.address.port();
    let service = Process::serve_with(
        &[
            "--deny-net",
            "127.0.0.2,127.0.1.0/24",
            "--allow-port",
            &port.to_string(),
            "--deny-host",
            "*.denied.localhost,secret.localhost",
        ],
        &[(
            "FETCHD_ALLOW_HOST",
            "localhost,*.localhost,127.0.0.1,127.0.0.2",
        )],
    );
    let client = Client::connect(&service.url).await.unwrap();
    for host in ["127.0.0.1", "localhost", "fine.localhost"] {
        assert_eq!(
            text(&client, &format!("http://{host}:{port}/")).await,
            "there"
        );
    }
    let denied = [
        (
            "http://127.0.0.2",
            "the address 127.0.0.2 is denied by --deny-net",
        ),
        (
            "http://secret.localhost",
            "the host secret.localhost is denied by --deny-host",
        ),
        (
            "http://a.DENIED.localhost",
            "the host a.denied.localhost is denied by --deny-host",
        ),
        (
            "http://127.0.0.3",
            "the host 127.0.0.3 is denied: --allow-host does not name it",
        ),
        (
            "http://elsewhere.test",
            "the host elsewhere.test is denied: --allow-host does not name it",
        ),
    ];
    let urls: Vec<_> = denied
        .iter()
        .map(|(url, _)| format!("{url}:{port}/"))
        .collect();
    let messages = denials(&client, &urls).await;
    assert_eq!(messages, denied.map(|(_, message)| message));
    let message = denials(&client, &[other.url("")]).await.remove(0);
    let expected = format!(
        "port {} is denied: --allow-port does not name it",
        other.address.port()
    );
    assert_eq!(message, expected);
    assert_eq!((origin.seen(), other.seen()), (3, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configured_root_is_trusted() {
    let authority = Authority::new();
    let origin = RawOrigin::encrypted(authority.acceptor("localhost")).await;
    let url = format!("https://localhost:{}/", origin.address.port());
    let file = tempfile::NamedTempFile::new().unwrap();
    // There may be several certificates in a bundle, and comments as well.
    let bundle = format!("# ours\n{}\n{}", Authority::new().pem(), authority.pem());
    std::fs::write(file.path(), bundle).unwrap();

    let service = Process::serve(&["--ca-cert", file.path().to_str().unwrap()]);
    let client = Client::connect(&service.url).await.unwrap();
    assert_eq!(text(&client, &url).await, "secret");

    // This file could also be used instead of the system's roots.
    let path = file.path().to_str().unwrap();
    let service = Process::serve_with(&[], &[("SSL_CERT_FILE", path), ("FETCHD_CA_CERT", "")]);
    let client = Client::connect(&service.url).await.unwrap();
    assert_eq!(text(&client, &url).await, "secret");

    let service = Process::serve_with(&[], &[("FETCHD_PROXY", "")]);
    let client = Client::connect(&service.url).await.unwrap();
    let error = client.fetch_all([&url]).await.remove(0).unwrap_err();
    assert_eq!(error.reason(), Some(Reason::Tls), "{error}");
}

/// A proxy on loopback. It records all requests, and every tunnel leads to the same
/// address.
struct Proxy {
    origin: RawOrigin,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn new(to: std::net::SocketAddr, status: &'static str) -> Self {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        let origin = RawOrigin::new(move |mut stream| {
            let noted = Arc::clone(&noted);
            async move {
                let head = read_head(&mut stream).await;
                noted.lock().unwrap().push(head);
                let answer = format!("HTTP/1.1 {status}\r\n\r\n");
                stream.write_all(answer.as_bytes()).await.unwrap();
                if status.starts_with("200") {
                    let mut there = TcpStream::connect(to).await.unwrap();
                    let _ = copy_bidirectional(&mut stream, &mut there).await;
                }
            }
        })
        .await;
        Self { origin, asked }
    }

    /// Returns all requests so far.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// Returns the default config, but with this proxy.
    fn config(&self, credentials: &str) -> Config {
        let mut config = Config::default();
        let url = format!("http://{credentials}{}", self.origin.address);
        config.origins.proxy = Some(url.parse().unwrap());
        config
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn all_fetches_are_checked_and_go_through_the_proxy() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let proxy = Proxy::new(origin.address, "200 Connection established").await;
    let mut config = proxy.config("user:hunter2@");
    config.egress.deny_host = vec!["denied.test".parse().unwrap()];
    let service = service_with(config).await;
    let client = service.client().await;

    // It's the proxy that resolves names. The tunnel always uses the URL's port.
    for (url, target) in [
        ("http://somewhere.test/a?b", "somewhere.test:80"),
        ("http://somewhere.test:8080/", "somewhere.test:8080"),
        ("http://1.1.1.1/", "1.1.1.1:80"),
        ("http://[2606:4700::1111]:81/", "[2606:4700::1111]:81"),
    ] {
        assert_eq!(text(&client, url).await, "there");
        let asked = proxy.asked().pop().unwrap();
        assert!(
            asked.starts_with(&format!("CONNECT {target} HTTP/1.1\r\n")),
            "{asked}"
        );
        assert!(
            asked.contains("Proxy-Authorization: Basic dXNlcjpodW50ZXIy\r\n"),
            "{asked}"
        );
    }
    // The proxy may be used as a proxy, but we can't fetch from it.
    let before = proxy.asked().len();
    let messages = denials(
        &client,
        &[
            format!("http://{}/", proxy.origin.address),
            "http://10.0.0.1/".to_owned(),
            "http://localhost/".to_owned(),
            "http://[::ffff:169.254.169.254]/".to_owned(),
            "http://denied.test/".to_owned(),
            "http://127.0.0.1./".to_owned(),
            service.url.clone(),
        ],
    )
    .await;
    println!("{messages:#?}");
    assert_eq!(proxy.asked().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_local_name_goes_through_a_proxy_only_if_all_its_addresses_are_allowed() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let proxy = Proxy::new(origin.address, "200 OK").await;
    let mut config = proxy.config("");
    config.egress.allow_net = vec!["::1/128".parse().unwrap()];
    let service = service_with(config.clone()).await;
    // The proxy might pick the address that's denied.
    denials(&service.client().await, &["http://localhost/"]).await;
    assert!(proxy.asked().is_empty());
    config.egress.allow_net.push("127.0.0.0/8".parse().unwrap());
    let service = service_with(config).await;
    assert_eq!(
        text(&service.client().await, "http://localhost/").await,
        "there"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_end_to_end_through_the_tunnel() {
    let authority = Authority::new();
    let origin = RawOrigin::encrypted(authority.acceptor("somewhere.test")).await;
    let proxy = Proxy::new(origin.address, "200 OK").await;
    let mut config = proxy.config("");
    config.origins.extra_roots = vec![authority.root()];
    let service = service_with(config).await;
    let client = service.client().await;
    assert_eq!(text(&client, "https://somewhere.test/").await, "secret");
    let asked = proxy.asked().pop().unwrap();
    assert!(
        asked.starts_with("CONNECT somewhere.test:443 HTTP/1.1\r\n"),
        "{asked}"
    );
    assert!(!asked.contains("Proxy-Authorization"), "{asked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_proxy_is_reported_as_such() {
    let nowhere = "127.0.0.1:1".parse().unwrap();
    for status in [
        "407 Proxy Authentication Required",
        "403 Forbidden",
        "502 Bad Gateway",
        "nonsense",
    ] {
        let proxy = Proxy::new(nowhere, status).await;
        let service = service_with(proxy.config("user:hunter2@")).await;
        let request = Request::get("http://somewhere.test/?secret").max_attempts(1);
        let outcome: Vec<Outcome> = service
            .client()
            .await
            .fetch([request])
            .outcomes()
            .collect()
            .await;
        let error = outcome[0].error.as_ref().unwrap();
        assert_eq!(error.reason(), Some(Reason::Connect), "{error}");
        let message = error.to_string();
        let beginning = "the proxy did not open a tunnel to somewhere.test:80: ";
        assert!(message.starts_with(beginning), "{message}");
        for secret in ["hunter2", "dXNlcjpodW50ZXIy", "secret"] {
            assert!(!message.contains(secret), "{message}");
        }
    }
    let silent = RawOrigin::new(|stream| async {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let mut config = Config::default();
    config.origins.proxy = Some(silent.url().parse().unwrap());
    let service = service_with(config).await;
    let request = Request::get("http://somewhere.test/")
        .connect_timeout(Duration::from_millis(100))
        .max_attempts(1);
    let outcome: Vec<Outcome> = service
        .client()
        .await
        .fetch([request])
        .outcomes()
        .collect()
        .await;
    let message = outcome[0].error.as_ref().unwrap().to_string();
    assert_eq!(message, "connect_timeout of 100ms passed at the proxy");
}

#[tokio::test(flavor = "multi_thread")]
async fn proxy_variables_of_the_environment_are_ignored() {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let trap = Origin::new(|_| async { reply("trapped") }).await;
    let url = trap.url("");
    let names = [
        "HTTP_PROXY",
        "http_proxy",
        "HTTPS_PROXY",
        "https_proxy",
        "ALL_PROXY",
        "all_proxy",
    ];
    let variables = names.map(|name| (name, url.as_str()));
    let service = Process::serve_with(&[], &variables);
    let client = Client::connect(&service.url).await.unwrap();
    assert_eq!(text(&client, &origin.url("")).await, "there");
    let tls = format!("https://{}/", origin.address);
    assert!(client.fetch_all([&tls]).await[0].is_err());
    assert_eq!(trap.seen(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unanswered_aaaa_query_does_not_delay_the_fetch() {
    let dns = Dns::new(|_| Answer::OnlyV4(vec![LOCAL])).await;
    let origin = Origin::new(|_| async { reply("there") }).await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    let service = service_with(config).await;
    let url = format!("http://only4.test:{}/", origin.address.port());
    let request = Request::get(url).connect_timeout(TEST_TIMEOUT);
    let outcome: Vec<Outcome> = service
        .client()
        .await
        .fetch([request])
        .outcomes()
        .collect()
        .await;
    assert!(outcome[0].error.is_none(), "{outcome:?}");
    // If it were up to the resolver, we'd wait for 5 s, and then again.
    assert!(outcome[0].stats.total.unwrap() < Duration::from_secs(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_is_not_used_for_another_host() {
    // Both names resolve to the same address and port. If the first name is looked up
    // again, it gets a different address.
    let asked = AtomicUsize::new(0);
    let dns = Dns::new(move |name| match name {
        "first.test" if asked.fetch_add(1, Ordering::SeqCst) >= 2 => {
            Answer::Uncacheable(vec!["10.0.0.1".parse().unwrap()])
        }
        _ => Answer::Uncacheable(vec![LOCAL]),
    })
    .await;
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    let origin = RawOrigin::new(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            while !read_head(&mut stream).await.is_empty() {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere";
                stream.write_all(answer).await.unwrap();
            }
        }
    })
    .await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    let service = service_with(config).await;
    let client = service.client().await;
    let at = |name: &str| format!("http://{name}:{}/", origin.address.port());
    for (name, expected) in [("first.test", 1), ("first.test", 1), ("second.test", 2)] {
        assert_eq!(text(&client, &at(name)).await, "there");
        assert_eq!(connections.load(Ordering::SeqCst), expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_ipv6_address_is_used_if_the_ipv4_address_is_denied_or_missing() {
    let dns = Dns::new(|name| match name {
        "denied4.test" => Answer::Addresses(vec![
            "10.0.0.1".parse().unwrap(),
            IpAddr::V6(std::net::Ipv6Addr::LOCALHOST),
        ]),
        _ => Answer::OnlyV6(vec![IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)]),
    })
    .await;
    let origin = RawOrigin::at("[::1]:0", |mut stream| async move {
        read_head(&mut stream).await;
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nthere";
        stream.write_all(answer).await.unwrap();
        finish(stream).await;
    })
    .await;
    let mut config = Config::default();
    config.egress.allow_net = vec!["::1/128".parse().unwrap()];
    config.origins.name_servers = vec![dns.address];
    let service = service_with(config).await;
    let client = service.client().await;
    for name in ["denied4.test", "silent4.test"] {
        let url = format!("http://{name}:{}/", origin.address.port());
        assert_eq!(text(&client, &url).await, "there");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dns_answers_are_cached_for_their_time_to_live() {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let noted = Arc::clone(&asked);
    let both = [LOCAL, IpAddr::V6(std::net::Ipv6Addr::LOCALHOST)];
    let dns = Dns::new(move |name| {
        noted.lock().unwrap().push(name.to_owned());
        match name {
            "kept.test" => Answer::Addresses(both.to_vec()),
            "fleeting.test" => Answer::Uncacheable(both.to_vec()),
            _ => Answer::Addresses([&[LOCAL; 66][..], &both].concat()),
        }
    })
    .await;
    let origin = Origin::new(|_| async {
        let mut reply = reply("there");
        reply
            .headers_mut()
            .insert("connection", "close".parse().unwrap());
        reply
    })
    .await;
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    let service = service_with(config).await;
    let client = service.client().await;
    // There are two queries per lookup, one for each address family.
    for (name, questions) in [("kept.test", 2), ("fleeting.test", 6), ("large.test", 2)] {
        for _ in 0..3 {
            let url = format!("http://{name}:{}/", origin.address.port());
            assert_eq!(text(&client, &url).await, "there");
        }
        until(|| origin.in_flight() == 0).await;
        let asked = asked.lock().unwrap();
        let count = asked.iter().filter(|asked| *asked == name).count();
        assert_eq!(count, questions, "{name}");
    }
}
