//! fetchd is a gRPC service that fetches batches of URLs on behalf of other services.
//!
//! You send it a list of HTTP requests in one `FetchBatch` call. It runs them with
//! bounded concurrency and streams each result back as it arrives. This crate contains
//! the Rust client, the server as a library, and the `fetchd` binary. By default the
//! server only fetches from public addresses.
//!
//! # Layout
//!
//! - [`client`] sends request lists to a service (or to its replicas) and returns
//!   `reqwest` responses. Most callers need nothing else.
//! - [`server`] serves the gRPC service on a listener until it is shut down.
//! - [`config`] holds the server settings, egress rules included. Its defaults are those of
//!   the command line.
//! - [`admin`] serves a page for people, `/metrics` and probes alongside a server.
//! - [`net`] is the network below both, for simulations that bring their own.
//! - [`proto`] contains the gRPC messages.
//! - [`Code`] is a gRPC status code, as found in client errors.
//!
//! # Fetch a list
//!
//! Results come back in request order. A failed request doesn't stop the others. Its
//! error simply takes the place of its response.
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
//! If your program only calls a service, use `default-features = false, features =
//! ["client"]`.
//!
//! # Stability
//!
//! This API exposes types from `bytes`, `http`, `ipnet`, `prost`, `reqwest` and `tokio`.
//! `tonic` types only appear in the [`proto`] stubs, and semantic versioning does not
//! cover those, nor [`net`].
//!
//! # Further reading
//!
#![doc = concat!("The [README](", env!("CARGO_PKG_REPOSITORY"), "#readme) shows the command")]
//! line and clients in other languages.
#![doc = concat!("[ARCHITECTURE.md](", env!("CARGO_PKG_REPOSITORY"), "/blob/main/ARCHITECTURE.md)")]
//! explains the design, and
#![doc = concat!("[SECURITY.md](", env!("CARGO_PKG_REPOSITORY"), "/blob/main/SECURITY.md)")]
//! the threat model.
#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
// The front page names modules of both features.
#![cfg_attr(
    not(all(feature = "client", feature = "server")),
    allow(rustdoc::broken_intra_doc_links)
)]

#[cfg(feature = "server")]
pub mod admin;
#[cfg(any(feature = "client", feature = "server"))]
mod bearer;
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
#[cfg(any(feature = "client", feature = "server"))]
pub mod net;
#[cfg(any(feature = "client", feature = "server"))]
mod pem;
pub mod proto;
#[cfg(feature = "server")]
mod reload;
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
#[cfg(any(feature = "client", feature = "server"))]
mod small_file;
#[cfg(feature = "server")]
mod telemetry;

#[cfg(any(feature = "client", feature = "server"))]
pub use code::Code;

/// Engine parts for this repository's benchmarks and fuzz targets.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub mod internals {
    use http::Uri;

    #[cfg(feature = "client")]
    pub use crate::client::internals::send_property;
    pub use crate::{
        decode::property as decode_property,
        egress::{Denied, Host, Policy, Target, property as egress_property},
        http1::property as http1_property,
        service::batch_property,
    };

    /// Returns the URI we'd send a request for `url` to, or `None` if the URL is
    /// rejected.
    pub fn parse_url(url: &str) -> Option<Uri> {
        let request = crate::request::Request::new(url, "");
        request.ok().map(|request| request.uri)
    }
}

/// Compiles the code in the README.
#[cfg(all(doctest, feature = "cli"))]
#[doc = include_str!("../README.md")]
struct ReadmeDoctests;

/// A match on a public enum needs a wildcard, so that a new variant breaks no caller:
///
/// ```compile_fail,E0004
/// fn is_of_the_call(error: fetchd::client::Error) -> bool {
///     use fetchd::client::Error::*;
///     match error {
///         Call { .. } | ServiceLost { .. } => true,
///         Fetch { .. } | Unsendable { .. } | Contract { .. } => false,
///     }
/// }
/// ```
///
/// ```compile_fail,E0004
/// fn is_local(peer: fetchd::server::Peer) -> bool {
///     use fetchd::server::Peer::*;
///     match peer {
///         Local => true,
///         Tcp(_) => false,
///     }
/// }
/// ```
///
/// Callers read these structs, but can't take them apart without a `..`:
///
/// ```compile_fail,E0638
/// fn index(outcome: fetchd::client::Outcome) -> usize {
///     let fetchd::client::Outcome { index, response: _, error: _, stats: _, ended: _ } = outcome;
///     index
/// }
/// ```
///
/// ```
/// fn is_of_the_call(error: fetchd::client::Error) -> bool {
///     matches!(error, fetchd::client::Error::Call { .. })
/// }
/// ```
#[cfg(all(doctest, feature = "cli"))]
struct NonExhaustiveDoctests;
