//! Tests for connection limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::StreamBody;
use hyper::{
    body::Frame,
    client::conn::http2::{Connection as ClientConnection, SendRequest},
};
use hyper_util::rt::TokioExecutor;
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;
use tonic::{Code, body::Body};

use super::*;
use crate::{config::Config, service::FETCH_BATCH};

const TCP: Peer = Peer::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1));

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The preface, followed by an empty SETTINGS frame.
const OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

fn serve(config: Config, peer: Peer) -> (DuplexStream, JoinHandle<()>) {
    let server = Server::new(config).unwrap();
    let (near, far) = tokio::io::duplex(1 << 16);
    (near, tokio::spawn(server.serve_connection(far, peer)))
}

/// Serves a peer that sends `bytes` and then goes silent. Returns how long we took to
/// drop the connection.
async fn time_served(bytes: &[u8], peer: Peer) -> Duration {
    let begun = Instant::now();
    let (mut near, serving) = serve(Config::default(), peer);
    near.write_all(bytes).await.unwrap();
    serving.await.unwrap();
    begun.elapsed()
}

async fn open(
    near: DuplexStream,
) -> (
    SendRequest<Body>,
    ClientConnection<TokioIo<DuplexStream>, Body, TokioExecutor>,
) {
    let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    builder.handshake(TokioIo::new(near)).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn connection_that_is_not_opened_is_dropped() {
    let cases = [
        (&b""[..], TCP),
        (b"PRI", TCP),
        (PREFACE, TCP),
        (b"PRI", Peer::Local),
        (PREFACE, Peer::Local),
    ];
    for (bytes, peer) in cases {
        let served = time_served(bytes, peer).await;
        assert!(
            served >= HANDSHAKE_TIMEOUT && served < 2 * HANDSHAKE_TIMEOUT,
            "{served:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn peer_that_answers_no_ping_is_dropped() {
    let limits = Limits::default();
    let keepalive = limits.keepalive_interval + limits.keepalive_timeout;
    for peer in [TCP, Peer::Local] {
        let served = time_served(OPENING, peer).await;
        assert!(
            served >= HANDSHAKE_TIMEOUT && served < 2 * keepalive,
            "{served:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn idle_connection_is_asked_to_close() {
    for peer in [TCP, Peer::Local] {
        let mut config = Config::default();
        config.limits.max_connection_age = Duration::from_hours(24);
        let (near, serving) = serve(config, peer);
        let (_calls, connection) = open(near).await;
        let begun = Instant::now();
        let _ = connection.await;
        serving.await.unwrap();
        let idle = begun.elapsed();
        assert!(idle < Duration::from_mins(10), "{idle:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn old_connection_is_asked_to_close() {
    for peer in [TCP, Peer::Local] {
        let mut config = Config::default();
        config.limits.max_connection_age = Duration::from_mins(1);
        let (near, serving) = serve(config, peer);
        let (_calls, connection) = open(near).await;
        let begun = Instant::now();
        let _ = connection.await;
        serving.await.unwrap();
        let age = begun.elapsed();
        assert!(age < Duration::from_mins(2), "{age:?}");
    }
}

/// Sends a message of `count` parts of `size` bytes each, one every `interval`. Returns
/// the gRPC code, and how long it took until we answered.
async fn answer_to_slow_message(
    size: usize,
    count: usize,
    interval: Duration,
) -> (Option<Code>, Duration) {
    let (near, _serving) = serve(Config::default(), TCP);
    let (mut calls, connection) = open(near).await;
    let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
    // An unknown field that takes up the whole message: its key and length have 5 bytes.
    let length = size * count;
    let mut message = vec![0];
    message.extend(u32::try_from(length).unwrap().to_be_bytes());
    message.extend([0x7a]);
    prost::encoding::encode_varint(length as u64 - 5, &mut message);
    assert_eq!(message.len(), 5 + 5, "the length has 4 bytes");
    message.resize(5 + length, 0);
    let parts: Vec<_> = message.chunks(size).map(Bytes::copy_from_slice).collect();
    let parts = stream::iter(parts).then(move |part| async move {
        time::sleep(interval).await;
        Ok::<_, Infallible>(Frame::data(part))
    });
    let call = http::Request::post(format!("http://in.test{FETCH_BATCH}"))
        .body(Body::new(StreamBody::new(parts)))
        .unwrap();
    let begun = Instant::now();
    let response = calls.send_request(call).await.unwrap();
    let code = response.headers().get("grpc-status");
    let code = code.map(|code| Code::from_bytes(code.as_bytes()));
    (code, begun.elapsed())
}

#[tokio::test(start_paused = true)]
async fn slow_message_is_refused() {
    let late = Some(Code::DeadlineExceeded);
    let seconds = Duration::from_secs;
    // 4 KiB each second, and slightly less than the pace.
    for (size, count, interval) in [(4096, 1000, seconds(1)), (150 << 10, 20, seconds(10))] {
        let (code, after) = answer_to_slow_message(size, count, interval).await;
        assert_eq!(code, late);
        assert!(after >= seconds(10) && after < seconds(21), "{after:?}");
    }
    // Slightly more than the pace, so only the limit for the whole message applies.
    let (code, after) = answer_to_slow_message(170 << 10, 20, seconds(9)).await;
    assert_eq!(code, late);
    assert!(after >= seconds(60) && after < seconds(61), "{after:?}");
    let (code, after) = answer_to_slow_message(1 << 20, 4, seconds(9)).await;
    assert_eq!(code, None, "the call isn't refused");
    assert!(after >= seconds(36) && after < seconds(61), "{after:?}");
}

#[test]
fn age_of_connections_is_jittered() {
    let age = Duration::from_mins(5);
    let ages: Vec<_> = (0..100).map(|_| jittered(age)).collect();
    assert!(ages.iter().all(|age| (270..330).contains(&age.as_secs())));
    assert!(ages.iter().max() > ages.iter().min());
}

#[test]
fn server_can_be_made_without_a_runtime() {
    assert!(Server::new(Config::default()).is_ok());
}

#[tokio::test(start_paused = true)]
async fn tls_handshake_that_is_not_finished_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["fetchd.test".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let (cert, key_file) = (folder.path().join("crt"), folder.path().join("key"));
    std::fs::write(&cert, certificate.pem()).unwrap();
    std::fs::write(&key_file, key.serialize_pem()).unwrap();
    let mut config = Config::default();
    config.callers.tls = Some(crate::config::Tls {
        cert,
        key: key_file,
        client_ca: None,
    });
    let server = Server::new(config).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let _silent = tokio::net::TcpStream::connect(address).await.unwrap();
    let (stream, peer) = listener.accept().await.unwrap();
    let begun = Instant::now();
    server.serve_accepted(stream, peer).await;
    assert_eq!(begun.elapsed().as_secs(), HANDSHAKE_TIMEOUT.as_secs());
}
