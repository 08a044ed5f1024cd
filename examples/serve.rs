//! Serves fetchd inside another program until Ctrl-C.
//!
//! `cargo run --example serve`

#![allow(clippy::print_stdout)]

use std::time::Duration;

use fetchd::{
    config::Config,
    server::{Server, Shutdown},
};
use tokio::{net::TcpListener, signal};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config {
        drain_timeout: Duration::from_secs(10),
        ..Config::default()
    };
    let server = Server::new(config)?;
    let listener = TcpListener::bind("127.0.0.1:50051").await?;
    println!("serving at {}", listener.local_addr()?);

    let shutdown = Shutdown::new();
    let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
    signal::ctrl_c().await?;
    shutdown.request();
    serving.await?;
    Ok(())
}
