//! The Rust client with TLS and tokens.

use std::{fs, path::Path, time::Instant};

use fetchd::{
    Code,
    client::{Builder, Client, Error},
};
use rustls::version::{TLS12, TLS13};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use crate::support::{
    Authority, Front, Origin, Pair, RawOrigin, finish,
    namespace::{self, Network},
    reply, self_signed, service, within_timeout,
};

const VERSIONS: [&rustls::SupportedProtocolVersion; 2] = [&TLS12, &TLS13];

/// If an attempt is repeated although it can't succeed, it takes longer than this.
pub(crate) const AT_ONCE: std::time::Duration = std::time::Duration::from_secs(5);

/// Fetches a URL through a service. Panics if that fails.
pub(crate) async fn fetch(client: &Client) {
    let origin = Origin::new(|_| async { reply("there") }).await;
    let results = within_timeout(client.fetch_all([origin.url("")])).await;
    assert_eq!(results[0].as_ref().unwrap().status(), 200);
    let response = within_timeout(client.execute(origin.url(""))).await;
    assert_eq!(response.unwrap().text().await.unwrap(), "there");
}

/// Connects, which must fail at once. Returns the message.
async fn problem(builder: Builder, url: impl AsRef<str>) -> String {
    let begun = Instant::now();
    let error = within_timeout(builder.connect(url)).await.unwrap_err();
    assert!(begun.elapsed() < AT_ONCE, "{error}: {:?}", begun.elapsed());
    assert!(matches!(error, Error::ServiceLost { .. }), "{error:?}");
    error.to_string()
}

/// Connects, which must fail because of a setting. Returns the message.
pub(crate) async fn invalid(builder: Builder, url: &str) -> String {
    match builder.connect(url).await.unwrap_err() {
        Error::Call { code, message, .. } => {
            assert_eq!(code, Code::InvalidArgument, "{message}");
            message
        }
        error => panic!("expected INVALID_ARGUMENT, got {error:?}"),
    }
}

fn trusting(authority: &Authority) -> Builder {
    Client::builder().tls_ca(authority.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn service_with_a_trusted_certificate_is_used() {
    let authority = Authority::new();
    for version in VERSIONS {
        let acceptor = authority.http2_over("127.0.0.1", &[version]);
        let front = Front::new(Some(acceptor)).await;
        let client = trusting(&authority).connect(front.url()).await.unwrap();
        fetch(&client).await;
        assert_eq!(front.take_clients(), [None], "one connection");
        assert!(front.take_authorizations().iter().all(Option::is_none));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_may_be_with_and_without_tls() {
    let authority = Authority::new();
    let front = Front::new(Some(authority.http2("localhost"))).await;
    let plain = service().await;
    // This name may have a second address, but nobody listens there.
    let url = format!("https://localhost:{}, {}", front.address.port(), plain.url);
    let client = trusting(&authority).connect(&url).await.unwrap();
    fetch(&client).await;
    drop(plain);
    fetch(&client).await;
    assert!(!front.take_authorizations().is_empty());
}

#[test]
fn certificate_is_checked_for_the_name_at_each_of_its_addresses() {
    let name = "client_tls::certificate_is_checked_for_the_name_at_each_of_its_addresses";
    let hosts = "127.0.0.1 localhost\n127.0.0.11 headless\n127.0.0.12 headless\n";
    if namespace::enter(name, hosts) != Some(Network::Isolated) {
        return;
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let authority = Authority::new();
        let of = |host: &str| Some(authority.http2(host));
        let one = Front::at("127.0.0.11:443", of("headless")).await;
        let two = Front::at("127.0.0.12:443", of("headless")).await;
        // 443 is the default port.
        let connecting = trusting(&authority).connect("https://headless");
        let client = connecting.await.unwrap();
        for front in [one, two] {
            assert_eq!(front.take_clients(), [None]);
            fetch(&client).await;
        }
        drop(client);

        let wrong = Front::at("127.0.0.11:443", of("127.0.0.11")).await;
        let error = problem(trusting(&authority), "https://headless").await;
        assert!(
            error.contains("127.0.0.11:443: the TLS handshake failed"),
            "{error}"
        );
        assert!(error.contains("not valid for name \"headless\""), "{error}");
        assert!(error.contains("127.0.0.12:443: cannot connect"), "{error}");
        drop(wrong);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn server_that_is_not_trusted_is_named_with_the_reason() {
    let (authority, other) = (Authority::new(), Authority::new());
    let host = "127.0.0.1";
    let cases: [(TlsAcceptor, &[&str]); 5] = [
        (
            other.http2(host),
            &["signed by a root of tls_ca", "another signature"],
        ),
        (self_signed(host), &["signed by a root of tls_ca"]),
        (
            authority.http2("other.test"),
            &["the server's certificate", "127.0.0.1", "other.test"],
        ),
        (
            authority.expired(host),
            &["the server's certificate", "expired"],
        ),
        (authority.acceptor(host), &["HTTP/2 (ALPN h2)"]),
    ];
    for (acceptor, expected) in cases {
        let front = Front::new(Some(acceptor)).await;
        let error = problem(trusting(&authority), front.url()).await;
        let prefix = format!(
            "the call failed (UNAVAILABLE): {}: the TLS handshake failed: ",
            front.address
        );
        assert!(error.starts_with(&prefix), "{error}");
        for part in expected {
            assert!(error.contains(part), "{error}");
        }
        assert!(front.take_authorizations().is_empty());
    }
    // The system's roots don't include ours.
    let front = Front::new(Some(authority.http2(host))).await;
    let error = problem(Client::builder(), front.url()).await;
    assert!(
        error.contains("signed by a root of the system (tls_ca, --tls-ca sets others)"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn other_servers_are_told_from_services() {
    let authority = Authority::new();
    let encrypted = Front::new(Some(authority.http2("127.0.0.1"))).await;
    let plain = Front::new(None).await;
    let web = Origin::new(|_| async { reply("there") }).await;
    let lenient = RawOrigin::new(|mut stream| async move {
        let _ = stream.read_u8().await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        finish(stream).await;
    })
    .await;
    let closing = RawOrigin::new(|stream| async { drop(stream) }).await;
    let without = "expected a gRPC service (HTTP/2 without TLS), got";
    let with = "expected a gRPC service (HTTP/2 with TLS), got";
    for (url, expected) in [
        (
            format!("http://{}", encrypted.address),
            format!("{without} a TLS server; use https://"),
        ),
        (plain.url(), format!("{with} a server without TLS")),
        (
            format!("http://{}", lenient.address),
            format!("{without} an HTTP/1.1 server"),
        ),
        (
            format!("https://{}", lenient.address),
            format!("{with} a server without TLS"),
        ),
        (
            format!("http://{}", closing.address),
            format!("{without} a server that closes the connection without an answer"),
        ),
        (
            format!("https://{}", closing.address),
            format!("{with} a server that closes the connection without an answer"),
        ),
        (format!("https://{}", web.address), with.to_owned()),
    ] {
        let error = problem(Client::builder(), &url).await;
        assert!(error.contains(&expected), "{url}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn client_certificate_is_shown_and_its_lack_is_named() {
    let (authority, other) = (Authority::new(), Authority::new());
    for version in VERSIONS {
        let acceptor = authority.requiring_client_certificate("127.0.0.1", version);
        let front = Front::new(Some(acceptor)).await;
        let Pair { cert, key } = authority.issue("client.test");
        let builder = trusting(&authority).tls_identity(cert, key);
        fetch(&builder.connect(front.url()).await.unwrap()).await;
        assert!(matches!(&front.take_clients()[..], [Some(_)]));

        let error = problem(trusting(&authority), front.url()).await;
        let expected = "the server asks for a client certificate (tls_identity, --tls-cert), and there \
                        is none";
        assert!(error.contains(expected), "{version:?}: {error}");
        let Pair { cert, key } = other.issue("client.test");
        let error = problem(trusting(&authority).tls_identity(cert, key), front.url()).await;
        let expected = "the server rejects the client certificate: ";
        assert!(error.contains(expected), "{version:?}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rotated_certificates_are_used_by_the_next_connection() {
    let authority = Authority::new();
    let directory = tempfile::tempdir().unwrap();
    let file = |name: &str| directory.path().join(name);
    let write = |Pair { cert, key }: Pair| {
        fs::write(file("cert"), cert).unwrap();
        fs::write(file("key"), key).unwrap();
    };
    let acceptor = authority.requiring_client_certificate("127.0.0.1", &TLS13);
    let front = Front::new(Some(acceptor.clone())).await;
    let address = front.address.to_string();
    fs::write(file("ca"), authority.pem()).unwrap();
    write(authority.issue("first.test"));
    let builder = Client::builder()
        .tls_ca_file(file("ca"))
        .tls_identity_files(file("cert"), file("key"));
    let client = builder.connect(front.url()).await.unwrap();
    fetch(&client).await;
    let first = front.take_clients();

    write(authority.issue("second.test"));
    fetch(&client).await;
    assert!(front.take_clients().is_empty(), "the connection stays open");
    drop(front);
    let front = Front::at(&address, Some(acceptor)).await;
    fetch(&client).await;
    let second = front.take_clients();
    assert!(matches!((&first[..], &second[..]), ([Some(one)], [Some(two)]) if one != two));

    // The server has a new authority as well.
    let renewed = Authority::new();
    fs::write(file("ca"), renewed.pem()).unwrap();
    write(renewed.issue("third.test"));
    drop(front);
    let acceptor = renewed.requiring_client_certificate("127.0.0.1", &TLS13);
    let _front = Front::at(&address, Some(acceptor)).await;
    fetch(&client).await;
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let Pair { cert, .. } = authority.issue("client.test");
    let Pair { key, .. } = authority.issue("client.test");
    let url = "https://127.0.0.1:1";
    let builder = Client::builder;
    let nowhere = Path::new("/nowhere.pem");
    for (builder, expected) in [
        (
            builder().tls_ca(""),
            "tls_ca: expected PEM certificates (there are none)",
        ),
        (
            builder().tls_ca_file(nowhere),
            "tls_ca: expected a file of PEM certificates, got \"/nowhere.pem\" (No such file",
        ),
        (
            builder().tls_ca_file("README.md"),
            "tls_ca: expected a file of PEM certificates, got \"README.md\" (there are none)",
        ),
        (
            builder().tls_identity_files("README.md", nowhere),
            "tls_cert: expected a file of PEM certificates, got \"README.md\"",
        ),
        (
            builder().tls_identity(cert.clone(), ""),
            "tls_key: expected a PEM private key (there is none)",
        ),
        (
            builder().tls_identity(cert, key),
            "tls_key: expected the private key of tls_cert (",
        ),
        (
            builder().token(""),
            "token: expected a token, got an empty one",
        ),
        (
            builder().token_file(nowhere),
            "token_file: expected a file that contains a token and nothing else, got \
             \"/nowhere.pem\" (No such file",
        ),
    ] {
        let message = invalid(builder, url).await;
        assert!(message.starts_with(expected), "{message}");
    }
    let unused = builder().tls_ca(authority.pem());
    let expected = "tls_ca: expected a service URL such as https://fetchd.example with it";
    assert_eq!(
        invalid(unused.clone(), "http://127.0.0.1:1").await,
        expected
    );
    let stream = || Ok(tokio::io::duplex(1).0);
    let error = unused.over_connector(stream).unwrap_err();
    assert!(error.to_string().contains(expected), "{error}");
    for url in ["ftp://a.test", "a.test:50051", "https://", "nonsense"] {
        let message = invalid(builder(), url).await;
        let expected =
            "expected a URL such as http://localhost:50051 or https://fetchd.example, got";
        assert!(message.starts_with(expected), "{message}");
    }
}
