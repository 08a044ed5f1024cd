//! TLS between callers and the service.

use std::{
    fs,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Instant,
};

use fetchd::proto::{FetchBatchRequest, fetch_service_client::FetchServiceClient};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    SupportedProtocolVersion,
    pki_types::CertificateDer,
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Status, transport::Channel};

use crate::support::{
    Authority, Origin, Pair, Process,
    deaf::{Deaf, Switch},
    eventually, http2,
    metrics::metrics,
    pki::{Dialer, Files, HOST},
    reply, requests, until, within_timeout,
};

/// Each version of TLS alone.
static VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

/// Starts a service that uses these files.
fn serve(files: &Files, is_mutual: bool) -> Process {
    files.serve(is_mutual, &[], &[("RUST_LOG", "debug")])
}

/// Fetches the URL. Fails if there's no result with status 200.
async fn fetch(channel: Channel, url: &str) -> Result<(), Status> {
    let batch = FetchBatchRequest {
        requests: requests([url]),
        ..Default::default()
    };
    let mut client = FetchServiceClient::new(channel);
    let mut results = within_timeout(client.fetch_batch(batch))
        .await?
        .into_inner();
    let mut statuses = Vec::new();
    while let Some(message) = within_timeout(results.message()).await? {
        let heads = message.parts.into_iter().filter_map(|part| part.head);
        statuses.extend(heads.map(|head| head.status));
    }
    (statuses == [200])
        .then_some(())
        .ok_or_else(|| Status::internal(format!("{statuses:?}")))
}

/// Returns whether a caller with this dialer can fetch a URL.
async fn gets_in(dialer: &Dialer, service: &Process, url: &str) -> bool {
    match within_timeout(dialer.channel(service.address())).await {
        Ok(channel) => fetch(channel, url).await.is_ok(),
        Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_must_speak_http2_over_tls() {
    let origin = Origin::new(|_| async { reply("body") }).await;
    let (ca, url) = (Authority::new(), origin.url("/"));
    let files = Files::new(&ca.issue(HOST), &ca.pem());
    let service = serve(&files, false);
    let dialer = Dialer::new(&ca, None);
    for versions in VERSIONS {
        let dialer = Dialer {
            versions,
            ..dialer.clone()
        };
        assert!(gets_in(&dialer, &service, &url).await, "{versions:?}");
    }
    for alpn in [vec![], vec![b"http/1.1".to_vec()]] {
        let dialer = Dialer {
            alpn,
            ..dialer.clone()
        };
        assert!(!gets_in(&dialer, &service, &url).await, "{:?}", dialer.alpn);
    }
    // Clear text.
    let mut stream = TcpStream::connect(service.address()).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = within_timeout(stream.read_to_end(&mut answer)).await;
    // A TLS alert, and nothing else.
    assert!(
        answer.len() <= 7 && answer.starts_with(&[21, 3]),
        "{answer:?}"
    );
    assert_eq!(origin.seen(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_lets_in_callers_with_a_certificate_only() {
    let origin = Origin::new(|_| async { reply("body") }).await;
    let (ca, clients, strangers, url) = (
        Authority::new(),
        Authority::new(),
        Authority::new(),
        origin.url("/"),
    );
    let files = Files::new(&ca.issue(HOST), &clients.pem());
    let service = serve(&files, true);
    let spiffe = "spiffe://cluster.local/ns/shop/sa/web";
    for versions in VERSIONS {
        for (identity, is_let_in) in [
            (None, false),
            (Some(strangers.issue("web.shop")), false),
            // The server's own authority isn't the one for clients.
            (Some(ca.issue("web.shop")), false),
            (Some(clients.issue("web.shop")), true),
            (Some(clients.issue_spiffe(spiffe)), true),
        ] {
            let dialer = Dialer {
                versions,
                ..Dialer::new(&ca, identity)
            };
            assert_eq!(gets_in(&dialer, &service, &url).await, is_let_in);
        }
    }
    assert_eq!(origin.seen(), 4);
    assert_eq!(codes(&service).await, ["OK"]);
    let failures = metrics(&service.admin).await["fetchd_tls_handshake_failures_total"];
    assert!(failures >= 6.0, "{failures}");
    let log = service.into_log();
    for caller in ["web.shop", spiffe] {
        let field = format!(r#""caller":"{caller}""#);
        let ended = log.iter().filter(|line| line.contains("batch ended"));
        let lines = ended.filter(|line| line.contains(&field));
        assert_eq!(lines.count(), 2, "{caller}");
    }
}

/// Returns the codes that calls have ended with.
async fn codes(service: &Process) -> Vec<String> {
    let metrics = metrics(&service.admin).await;
    let counted = metrics.into_iter().filter(|(_, count)| *count > 0.0);
    let codes = counted.filter_map(|(name, _)| {
        let code = name.strip_prefix("fetchd_batches_total{code=\"")?;
        Some(code.trim_end_matches("\"}").to_owned())
    });
    codes.collect()
}

/// Returns the certificate that new connections see.
async fn presented(dialer: &Dialer, service: &Process) -> CertificateDer<'static> {
    let stream = within_timeout(dialer.dial(service.address()))
        .await
        .unwrap();
    let certificates = stream.get_ref().1.peer_certificates().unwrap();
    certificates[0].clone().into_owned()
}

/// Callers that fetch all the time: some over one connection, some over a new one for
/// each batch.
struct Load {
    callers: JoinSet<()>,
    is_over: Arc<AtomicBool>,
    fetched: Arc<AtomicUsize>,
}

impl Load {
    fn start(dialer: &Dialer, address: &str, url: &str) -> Self {
        let mut load = Self {
            callers: JoinSet::new(),
            is_over: Arc::default(),
            fetched: Arc::default(),
        };
        for caller in 0..4 {
            let (dialer, address, url) = (dialer.clone(), address.to_owned(), url.to_owned());
            let (is_over, fetched) = (Arc::clone(&load.is_over), Arc::clone(&load.fetched));
            load.callers.spawn(async move {
                let mut channel = dialer.channel(&address).await.unwrap();
                while !is_over.load(Ordering::Relaxed) {
                    if caller % 2 == 0 {
                        channel = dialer.channel(&address).await.unwrap();
                    }
                    fetch(channel.clone(), &url).await.unwrap();
                    fetched.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        load
    }

    /// Waits until every caller has most likely fetched something more.
    async fn go_on(&self) {
        let before = self.fetched.load(Ordering::Relaxed);
        until(|| self.fetched.load(Ordering::Relaxed) >= before + 40).await;
    }

    /// Ends the load. Panics if anything has failed.
    async fn end(mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        while let Some(ended) = within_timeout(self.callers.join_next()).await {
            ended.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_replaced_under_load() {
    let origin = Origin::new(|_| async { reply("body") }).await;
    let (ca, clients) = (Authority::new(), Authority::new());
    let pairs: Vec<Pair> = (0..6).map(|_| ca.issue(HOST)).collect();
    let files = Files::new(&pairs[0], &clients.pem());
    let service = serve(&files, true);
    let dialer = Dialer::new(&ca, Some(clients.issue("web.shop")));
    let load = Load::start(&dialer, service.address(), &origin.url("/"));
    let mut current = &pairs[0];
    for (round, pair) in pairs.iter().enumerate().skip(1) {
        load.go_on().await;
        match round {
            // The key of another certificate, and then half a file.
            3 => files.overwrite(&Pair {
                key: pair.key.clone(),
                ..current.clone()
            }),
            4 => fs::write(files.path("tls.crt"), &pair.cert[..100]).unwrap(),
            1 => files.overwrite(pair),
            _ => files.swap(pair, &clients.pem()),
        }
        let is_broken = round == 3 || round == 4;
        if !is_broken {
            current = pair;
        }
        let result = if is_broken { "error" } else { "ok" };
        let reloads = format!("fetchd_tls_reloads_total{{result=\"{result}\"}}");
        let expected = [1.0, 2.0, 1.0, 2.0, 3.0][round - 1];
        eventually(async || metrics(&service.admin).await[&reloads] == expected).await;
        let successful = metrics(&service.admin).await["fetchd_tls_last_reload_successful"];
        assert_eq!(successful, f64::from(u8::from(!is_broken)), "{round}");
        assert_eq!(
            presented(&dialer, &service).await,
            current.cert_der(),
            "{round}"
        );
    }
    // Callers of another authority take the place of the old ones.
    load.go_on().await;
    load.end().await;
    let others = Authority::new();
    files.swap(current, &others.pem());
    let other = Dialer::new(&ca, Some(others.issue("web.shop")));
    eventually(async || gets_in(&other, &service, &origin.url("/")).await).await;
    assert!(!gets_in(&dialer, &service, &origin.url("/")).await);
    let log = service.into_log().join("\n");
    assert!(!log.contains("PRIVATE KEY"), "{log}");
    assert!(
        log.contains("--tls-key: expected the key of --tls-cert"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_peer_does_not_delay_a_drain() {
    let ca = Authority::new();
    let service = serve(&Files::new(&ca.issue(HOST), &ca.pem()), false);
    let _silent = TcpStream::connect(service.address()).await.unwrap();
    // The silent one is accepted before this one.
    Dialer::new(&ca, None)
        .channel(service.address())
        .await
        .unwrap();
    let begun = Instant::now();
    service.signal("TERM");
    assert!(service.wait().success());
    assert!(begun.elapsed().as_secs() < 10, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_peer_makes_room_for_another_as_soon_as_without_tls() {
    let origin = Origin::new(|_| async { reply("body") }).await;
    let ca = Authority::new();
    let files = Files::new(&ca.issue(HOST), &ca.pem());
    let service = files.serve(false, &["--max-connections", "1"], &[]);
    let _silent = TcpStream::connect(service.address()).await.unwrap();
    let dialer = Dialer::new(&ca, None);
    let channel = dialer.channel(service.address()).await.unwrap();
    // Its handshake could go on for 10 s.
    let begun = Instant::now();
    fetch(channel, &origin.url("/")).await.unwrap();
    assert!(begun.elapsed().as_secs() < 6, "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn caller_that_does_not_read_loses_its_batch() {
    const WINDOW: u32 = (1 << 31) - 1;

    let origin = Origin::new(|_| async { reply(vec![b'x'; 1 << 20]) }).await;
    let ca = Authority::new();
    let files = Files::new(&ca.issue(HOST), &ca.pem());
    let service = files.serve(false, &["--stall-timeout", "500ms"], &[]);
    let stream = Dialer::new(&ca, None)
        .dial(service.address())
        .await
        .unwrap();
    let switch = Switch::default();
    let stream = TokioIo::new(Deaf::new(stream, switch.clone()));
    // HTTP/2 has room for everything, so that it's the socket that fills up.
    let (mut sender, connection) = hyper::client::conn::http2::Builder::new(TokioExecutor::new())
        .initial_connection_window_size(WINDOW)
        .initial_stream_window_size(WINDOW)
        .handshake(stream)
        .await
        .unwrap();
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    let batch = FetchBatchRequest {
        requests: requests(vec![origin.url("/"); 100]),
        ..Default::default()
    };
    let call = http2::call(http2::full_body(http2::message(&batch)));
    let _response = within_timeout(sender.send_request(call)).await.unwrap();
    switch.turn_on();
    let active = async || metrics(&service.admin).await["fetchd_batches_active"];
    eventually(async || active().await == 0.0).await;
    assert_eq!(codes(&service).await, ["RESOURCE_EXHAUSTED"]);
}
