//! fetchd is a gRPC service that fetches batches of URLs for other services. One
//! `FetchBatch` call takes a list of HTTP requests, runs them with bounded
//! concurrency, and streams each result back as it arrives. This crate holds the Rust
//! client, the server as a library, and the `fetchd` binary. By default the server
//! fetches from public addresses only.
//!
//! # Layout
//!
//! - [`client`] sends lists of requests to a service or to its replicas, and returns
//!   `reqwest` responses. Most callers need nothing else.
//! - [`server`] serves the gRPC service on a listener until it is shut down.
//! - [`config`] holds the settings of a server, with the defaults of the command line, and
//!   the rules that say which hosts and addresses may be fetched.
//! - [`admin`] serves `/metrics`, `/healthz` and `/readyz` beside a server.
//! - [`proto`] holds the messages of the gRPC contract.
//! - [`Code`] is the status code of a gRPC call, in errors of the client.
//!
//! # Fetch a list
//!
//! The results have the order of the requests. A request that fails leaves an error in
//! its own place, and the others go on.
//!
//! ```no_run
//! # #[cfg(feature = "client")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use fetchd::client::Client;
//!
//! let client = Client::connect("http://localhost:50051").await?;
//! let urls = ["https://example.com/", "https://www.rust-lang.org/"];
//! for (url, result) in urls.iter().zip(client.fetch_all(urls).await) {
//!     match result {
//!         Ok(response) => println!("{url}: {}", response.status()),
//!         Err(error) => println!("{url}: {error}"),
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! # Run a server
//!
//! `fetchd serve` does the same with settings from its flags and the environment.
//!
//! ```no_run
//! # #[cfg(feature = "server")]
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use fetchd::{
//!     config::Config,
//!     server::{Server, Shutdown},
//! };
//! use tokio::net::TcpListener;
//!
//! let mut config = Config::default();
//! config.drain_timeout = Duration::from_secs(10);
//! let server = Server::new(config)?;
//! let listener = TcpListener::bind("127.0.0.1:50051").await?;
//! let shutdown = Shutdown::new();
//! let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
//!
//! // Later: refuse new batches, and give open ones ten seconds to finish.
//! shutdown.request();
//! serving.await??;
//! # Ok(()) }
//! ```
//!
//! # Features
//!
//! | feature | default | adds |
//! | --- | --- | --- |
//! | `client` | yes | [`client`] |
//! | `server` | yes | [`server`], [`config`] and [`admin`] |
//! | `cli` | yes | the `fetchd` binary; needs `client` and `server` |
//!
//! A program that only calls a service needs
//! `default-features = false, features = ["client"]`.
//!
//! # Stability
//!
//! Types of `bytes`, `http`, `ipnet`, `prost`, `reqwest` and `tokio` are part of this API.
//! Types of `tonic` are part of the stubs in [`proto`] only, which semantic versioning
//! does not cover.
//!
//! # Further reading
//!
#![doc = concat!("The [README](", env!("CARGO_PKG_REPOSITORY"), "#readme) shows streams, the")]
//! command line and the settings of a server.
#![doc = concat!("[ARCHITECTURE.md](", env!("CARGO_PKG_REPOSITORY"), "/blob/main/ARCHITECTURE.md)")]
//! explains the design, and
#![doc = concat!("[SECURITY.md](", env!("CARGO_PKG_REPOSITORY"), "/blob/main/SECURITY.md)")]
//! the threat model.
#![cfg_attr(docsrs, feature(doc_cfg))]
// The front page names modules of both features.
#![cfg_attr(
    not(all(feature = "client", feature = "server")),
    allow(rustdoc::broken_intra_doc_links)
)]

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
mod caller;
#[cfg(any(feature = "client", feature = "server"))]
mod causes;
#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
mod clock;
#[cfg(any(feature = "client", feature = "server"))]
mod code;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
mod connect;
#[cfg(feature = "server")]
mod credentials;
#[cfg(feature = "server")]
mod decode;
#[cfg(feature = "server")]
#[allow(unreachable_pub, clippy::missing_panics_doc)] // `internals` exports parts of it.
mod egress;
#[cfg(feature = "server")]
mod fetch;
#[cfg(feature = "server")]
mod gate;
#[cfg(feature = "server")]
mod http1;
#[cfg(feature = "server")]
mod local_address;
pub mod proto;
#[cfg(feature = "server")]
mod request;
#[cfg(feature = "server")]
mod response;
#[cfg(feature = "server")]
mod retry;
#[cfg(feature = "server")]
mod schedule;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
mod service;
#[cfg(feature = "server")]
mod shares;
#[cfg(feature = "server")]
mod telemetry;

#[cfg(any(feature = "client", feature = "server"))]
pub use code::Code;

/// Parts of the engine for the benchmarks and the fuzz targets of this repository.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    use http::Uri;

    pub use crate::{
        egress::{Denied, Host, Policy, Target, property as egress_property},
        http1::property as http1_property,
    };

    /// Returns the URI that a request for `url` is sent to, if the URL is accepted.
    pub fn parse_url(url: &str) -> Option<Uri> {
        let request = crate::request::Request::new(url, "");
        request.ok().map(|request| request.uri)
    }
}

/// Compiles the code in the README.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;
