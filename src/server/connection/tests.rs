//! Tests for connection limits.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use hyper::client::conn::http2::{Connection as ClientConnection, SendRequest};
use hyper_util::rt::TokioExecutor;
use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    task::JoinHandle,
    time::Instant,
};
use tonic::body::Body;

use super::*;
use crate::config::Config;

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
