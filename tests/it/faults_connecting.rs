//! Anything that can go wrong before there's a connection: DNS, TCP and TLS.

use std::{
    net::{IpAddr, Ipv4Addr},
    process::Command,
    time::Duration,
};

use fetchd::{client::Request, config::Config, proto::Reason};
use hickory_resolver::proto::op::ResponseCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Answer, Authority, Dns, RawOrigin, allow_loopback, check, fill_backlog, finish, row,
    self_signed, service, service_with, short_backlog, within_timeout,
};

const SHORT: Duration = Duration::from_millis(150);
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn with_dns(dns: &Dns) -> Config {
    let mut config = allow_loopback();
    config.origins.name_servers = vec![dns.address];
    config
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_connections_are_connect_errors() {
    let full = short_backlog();
    let _filling = fill_backlog(&full).await;
    let address = full.local_addr().unwrap();
    let service = service().await;
    let unanswered = Request::get(format!("http://{address}/")).connect_timeout(SHORT);
    check(
        &service.client().await,
        vec![
            row("refused", "http://127.0.0.1:1/", Reason::Connect, true),
            row("unanswered", unanswered, Reason::Connect, true),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_network_is_a_connect_error() {
    // There's no network at all in this namespace.
    let run = tokio::task::spawn_blocking(|| {
        Command::new("unshare")
            .args([
                "--map-root-user",
                "--net",
                env!("CARGO_BIN_EXE_fetchd"),
                "get",
            ])
            .args([
                "--allow-net",
                "10.0.0.0/8",
                "--max-attempts",
                "2",
                "http://10.0.0.1/",
            ])
            .output()
            .unwrap()
    });
    let output = within_timeout(run).await.unwrap();
    if output.stdout.is_empty() {
        println!(
            "no namespaces here: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        return;
    }
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(line["error"]["reason"], "CONNECT", "{line}");
    assert_eq!(line["error"]["retryable"], true);
    assert_eq!(line["attempts"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn unresolved_names_are_dns_errors() {
    let dns = Dns::new(|name| match name {
        "unknown.test" => Answer::Code(ResponseCode::NXDomain),
        "empty.test" => Answer::Addresses(Vec::new()),
        "broken.test" => Answer::Code(ResponseCode::ServFail),
        "silent.test" => Answer::NoReply,
        _ => Answer::Addresses(vec![LOCAL]),
    })
    .await;
    let service = service_with(with_dns(&dns)).await;
    let silent = Request::get("http://silent.test/").connect_timeout(SHORT);
    let outcomes = check(
        &service.client().await,
        vec![
            row("no such name", "http://unknown.test/", Reason::Dns, false),
            row("no address", "http://empty.test/", Reason::Dns, false),
            row("SERVFAIL", "http://broken.test/", Reason::Dns, true),
            row("silence", silent, Reason::Dns, true),
            row(
                "refused by name",
                "http://known.test:1/",
                Reason::Connect,
                true,
            ),
        ],
    )
    .await;
    let message = outcomes[3].error.as_ref().unwrap().to_string();
    assert!(
        message.contains("connect_timeout of 150ms passed in DNS"),
        "{message}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn untrusted_tls_is_a_tls_error() {
    let dns = Dns::new(|_| Answer::Addresses(vec![LOCAL])).await;
    let authority = Authority::new();
    let good = RawOrigin::encrypted(authority.acceptor("good.test")).await;
    let expired = RawOrigin::encrypted(authority.expired("expired.test")).await;
    let alone = RawOrigin::encrypted(self_signed("alone.test")).await;
    let stranger = RawOrigin::encrypted(Authority::new().acceptor("stranger.test")).await;
    let plain = RawOrigin::new(|mut stream| async move {
        let mut hello = [0; 4096];
        let _ = stream.read(&mut hello).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        finish(stream).await;
    })
    .await;
    let closing = RawOrigin::new(|stream| async { drop(stream) }).await;
    let silent = RawOrigin::new(|stream| async {
        let _stream = stream;
        std::future::pending::<()>().await;
    })
    .await;

    let mut config = with_dns(&dns);
    config.origins.extra_roots = vec![authority.root()];
    let service = service_with(config).await;
    let client = service.client().await;
    let at = |host: &str, origin: &RawOrigin| format!("https://{host}:{}/", origin.address.port());
    let unanswered = Request::get(at("good.test", &silent)).connect_timeout(SHORT);
    check(
        &client,
        vec![
            row("another host", at("bad.test", &good), Reason::Tls, false),
            row("expired", at("expired.test", &expired), Reason::Tls, false),
            row("self-signed", at("alone.test", &alone), Reason::Tls, false),
            row(
                "not trusted",
                at("stranger.test", &stranger),
                Reason::Tls,
                false,
            ),
            row("plain HTTP", at("good.test", &plain), Reason::Tls, false),
            row("closed", at("good.test", &closing), Reason::Tls, true),
            row("silent", unanswered, Reason::Connect, true),
        ],
    )
    .await;

    // If the certificate is trusted, it's accepted.
    let mut results = client
        .fetch_all([at("good.test", &good), at("GOOD.test.", &good)])
        .await;
    for result in results.drain(..) {
        assert_eq!(result.unwrap().text().await.unwrap(), "secret");
    }
}

/// Starts an origin that rejects the handshake with this `alert` (RFC 8446, 6.2).
async fn alerting(alert: u8) -> RawOrigin {
    RawOrigin::new(move |mut stream| async move {
        let mut hello = [0; 4096];
        let _ = stream.read(&mut hello).await;
        let fatal = [21, 3, 3, 0, 2, 2, alert];
        let _ = stream.write_all(&fatal).await;
        finish(stream).await;
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_handshakes_are_tls_errors() {
    let dns = Dns::new(|_| Answer::Addresses(vec![LOCAL])).await;
    let authority = Authority::new();
    let tls12 = RawOrigin::encrypted(
        authority.requiring_client_certificate("good.test", &rustls::version::TLS12),
    )
    .await;
    let tls13 = RawOrigin::encrypted(
        authority.requiring_client_certificate("good.test", &rustls::version::TLS13),
    )
    .await;
    let http2 = RawOrigin::encrypted(authority.http2("good.test")).await;
    let [version, cipher, internal] = [alerting(70).await, alerting(40).await, alerting(80).await];
    let ssh = RawOrigin::new(|mut stream| async move {
        let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await;
        finish(stream).await;
    })
    .await;

    let mut config = with_dns(&dns);
    config.origins.extra_roots = vec![authority.root()];
    let service = service_with(config).await;
    let at = |origin: &RawOrigin| format!("https://good.test:{}/", origin.address.port());
    let permanent = |name, origin| row(name, at(origin), Reason::Tls, false);
    check(
        &service.client().await,
        vec![
            permanent("no client certificate, TLS 1.2", &tls12),
            permanent("no client certificate, TLS 1.3", &tls13),
            permanent("HTTP/2 alone", &http2),
            permanent("another version", &version),
            permanent("no common cipher", &cipher),
            permanent("SSH", &ssh),
            row("a fault of the origin", at(&internal), Reason::Tls, true),
        ],
    )
    .await;
}
