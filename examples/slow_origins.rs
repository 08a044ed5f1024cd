//! Fetches URLs that take 1.5 s each, and compares the time with fetching them one after
//! another. Needs no network.
//!
//! `cargo run --release --example slow_origins`

#![allow(clippy::print_stdout)]

use std::{convert::Infallible, io, time::Duration};

use bytes::Bytes;
use fetchd::{
    client::Client,
    config::{Config, Egress},
    server::{Server, Shutdown},
};
use http_body_util::Full;
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, time::Instant};

/// The time that the origin takes for each response.
const DELAY: Duration = Duration::from_millis(1500);
/// The number of requests in flight.
const CONCURRENCY: u32 = 50;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let origin = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", origin.local_addr()?);
    tokio::spawn(answer_slowly(origin));

    // The origin has a loopback address, which the default policy denies.
    let config = Config {
        egress: Egress {
            allow_net: vec!["127.0.0.0/8".parse()?],
            ..Egress::default()
        },
        ..Config::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let service = format!("http://{}", listener.local_addr()?);
    let shutdown = Shutdown::new();
    let serving = tokio::spawn(Server::new(config)?.serve(listener, shutdown.clone()));
    let client = Client::connect(service).await?;

    println!("each URL takes {DELAY:?}; at most {CONCURRENCY} requests are in flight");
    println!(
        "{:>5}  {:>14}  {:>15}",
        "URLs", "one at a time", "through fetchd"
    );
    for count in [15, 100, 400] {
        let urls = (0..count).map(|index| format!("{url}{index}"));
        let started = Instant::now();
        let results = client.fetch(urls).concurrency(CONCURRENCY).all().await;
        let took = started.elapsed().as_secs_f64();
        for (index, result) in results.into_iter().enumerate() {
            // The results are in the order of the requests.
            assert_eq!(result?.text().await?, format!("/{index}"));
        }
        let one_at_a_time = DELAY.as_secs_f64() * f64::from(count);
        println!("{count:>5}  {one_at_a_time:>12.1} s  {took:>13.2} s");
    }
    shutdown.request();
    serving.await??;
    Ok(())
}

/// Answers each request with its path, after [`DELAY`].
async fn answer_slowly(listener: TcpListener) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let service = service_fn(async |request: Request<Incoming>| {
            tokio::time::sleep(DELAY).await;
            let path = request.uri().path().to_owned();
            Ok::<_, Infallible>(Response::new(Full::<Bytes>::from(path)))
        });
        tokio::spawn(async move {
            http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await
        });
    }
}
