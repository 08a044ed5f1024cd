//! A Rust client that sends request lists to a fetchd service.
//!
//! - [`Client::fetch_all`] takes a list and returns one result per request, in request
//!   order.
//! - [`Client::fetch`] does the same, but lets you change the list settings and read the
//!   results as a stream, either as they arrive or in order.
//! - [`Client::fetch_stream`] takes a stream of requests, which may be endless.
//! - [`Client::execute`] sends one request and streams its body. Use this for bodies
//!   that don't fit in memory.
//!
//! Requests can be URLs, [`Request`]s or `reqwest::Request`s, and you get
//! `reqwest::Response`s back. We re-export [`reqwest`] so that you can name these types
//! without having to depend on the same version yourself.
//!
//! A `reqwest::Request` doesn't contain the settings of its client, such as default
//! headers or a timeout. Repeat those with [`Client::builder`], and see [`Builder`] for
//! the ones that have no equivalent.
//!
//! # Replicas
//!
//! A client talks to one service, or to several replicas of it. It spreads requests by
//! host: each host prefers one replica, and no replica gets more than a quarter on top
//! of its fair share.
//!
//! If a connection breaks, or if a replica drains, dies or hangs, the client resends the
//! unfinished requests (to another replica if there is one). Note that a request that
//! isn't idempotent is never dispatched twice.

// `fetch` and `results` are the list API, `send` sends the requests, and `replicas`
// picks a replica for each. The last two share `pending` and `failure`. `dial` connects to
// replicas, with the `tls` settings. `defaults` are what the builder sets for all requests.
// All other files hold one public type each.
mod builder;
mod defaults;
mod dial;
mod error;
mod failure;
mod fetch;
mod outcome;
mod pending;
mod redact;
pub mod redirect;
mod replicas;
mod request;
mod response;
mod results;
mod send;
mod service_url;
mod setting;
mod stats;
mod tls;
mod token;

use std::{io, sync::Arc};

use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};

pub use builder::Builder;
pub use error::Error;
pub use fetch::Fetch;
pub use outcome::Outcome;
pub use replicas::Outage;
use replicas::Replicas;
pub use request::Request;
pub use reqwest;
pub use response::Response;
pub use results::{InOrder, Outcomes};
use send::Source;
pub use stats::FetchStats;

/// Parts of the client for `fetchd get`, `fetchd health` and the model in `examples/scale`. Not
/// a stable API.
#[doc(hidden)]
pub mod internals {
    #[cfg(feature = "internals")]
    pub use super::send::property as send_property;
    pub use super::{
        builder::with_credentials,
        dial::{DialError, Dialer, Http2Stream, Peer},
        replicas::weight,
        send::{fair_share, max_share},
        service_url::{EXPECTED_URL, parse_service_url},
        setting::InvalidSetting,
        tls::TlsSettings,
        token::Token,
    };
}

/// A client for one service or several of its replicas.
///
/// Cloning is cheap. Clones share their connections, and broken connections are
/// re-established.
#[derive(Debug, Clone)]
pub struct Client {
    replicas: Arc<Replicas>,
}

impl Client {
    /// Connects to the service at `url`, e.g. `http://localhost:50051`, or with TLS
    /// `https://fetchd.example`.
    ///
    /// To use several replicas, pass their URLs separated by commas, or a name that
    /// resolves to several addresses. Names are looked up again every 5 s while we're
    /// fetching anything.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if a URL isn't valid, [`Error::ServiceLost`] if no replica answers
    /// within 5 s.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Returns a builder, in case you need other settings than the defaults, or have the
    /// settings of a `reqwest::Client` to keep.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Creates a client that calls `connect` whenever it needs a connection, e.g. to a
    /// service in the same process.
    ///
    /// The client connects on its first call. If the service closes the connection later
    /// on, the next call simply connects again.
    pub fn over_connector<F, S>(connect: F) -> Self
    where
        F: FnMut() -> io::Result<S> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        Builder::default().client_over(connect)
    }

    /// Fetches all requests of a list and returns one result for each, in request order.
    ///
    /// If the calls to the service fail, all requests that don't have a result yet get
    /// the error instead. Nothing is sent until the future is polled, and dropping it
    /// cancels the remaining requests.
    pub async fn fetch_all<I>(&self, requests: I) -> Vec<Result<reqwest::Response, Error>>
    where
        I: IntoIterator,
        I::Item: Into<Request>,
    {
        self.fetch(requests).all().await
    }

    /// Returns a builder that fetches all requests of a list. Change the settings first,
    /// then choose how you want the results:
    ///
    /// ```no_run
    /// use fetchd::client::Client;
    /// use futures_util::StreamExt;
    ///
    /// # async fn run(client: Client) {
    /// let urls = ["https://a.example/", "https://b.example/"];
    /// let mut outcomes = client.fetch(urls).concurrency(10).outcomes();
    /// while let Some(outcome) = outcomes.next().await {
    ///     println!("{}: {:?}", urls[outcome.index], outcome.into_result());
    /// }
    /// # }
    /// ```
    ///
    /// Nothing is sent until you poll the results.
    pub fn fetch<I>(&self, requests: I) -> Fetch
    where
        I: IntoIterator,
        I::Item: Into<Request>,
    {
        let defaults = self.replicas.defaults();
        let requests = requests.into_iter().map(Into::into);
        let list = requests.map(|request| defaults.add_to(request)).collect();
        Fetch::new(Arc::clone(&self.replicas), Source::List(list))
    }

    /// Returns a builder that fetches all requests of a stream, which may be endless.
    ///
    /// It takes requests from the stream as fast as the concurrency allows. It doesn't
    /// take any until you poll the results.
    pub fn fetch_stream<S>(&self, requests: S) -> Fetch
    where
        S: Stream + Send + 'static,
        S::Item: Into<Request>,
    {
        let replicas = Arc::clone(&self.replicas);
        let stream = requests
            .map(move |request| replicas.defaults().add_to(request.into()))
            .boxed();
        Fetch::new(Arc::clone(&self.replicas), Source::Stream(stream))
    }

    /// Fetches one request and returns as soon as we have the response head and the
    /// first part of the body. Read the rest of the body as a stream.
    ///
    /// Each such request gets its own call, so an unread body doesn't block other
    /// requests. (A service accepts 256 of these calls at once from one client.)
    ///
    /// If the body is cut short, it ends with an error that has an [`Error`] as its
    /// source. Dropping the response cancels the rest.
    ///
    /// # Errors
    ///
    /// Fails if the request or its call fails. The message includes the URL.
    pub async fn execute(&self, request: impl Into<Request>) -> Result<reqwest::Response, Error> {
        let request = self.replicas.defaults().add_to(request.into());
        send::execute(Arc::clone(&self.replicas), request).await
    }
}
