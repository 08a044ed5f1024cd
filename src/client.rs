//! The Rust client: sends lists of requests to a fetchd service.
//!
//! [`Client::fetch_all`] takes a list and returns one result for each request, in the
//! order of the requests. [`Client::fetch`] takes settings for the list and returns the
//! results as a stream, as they arrive or in order; [`Client::fetch_stream`] takes an
//! endless stream of requests. [`Client::execute`] sends one request and streams its
//! body, which may be too large for memory.
//!
//! Requests are URLs, [`Request`]s or `reqwest::Request`s, and results are
//! `reqwest::Response`s. The module re-exports [`reqwest`], so that callers can name
//! these types without a dependency of the same version.
//!
//! # Replicas
//!
//! A client knows one service or several replicas of it. Each replica fetches the hosts
//! that prefer it, and gets at most a quarter more than its fair share of the requests.
//! If a connection breaks or a replica drains, dies or hangs, the requests without a
//! result are sent again, to another replica if there is one. A request that is not
//! idempotent is never dispatched twice.

// `fetch` and `results` are the interface for lists, `send` sends their requests, and
// `replicas` chooses the replica for each. `pending` and `failure` are shared by the last
// two. The other files hold one public type each.
mod builder;
mod error;
mod failure;
mod fetch;
mod outcome;
mod pending;
mod redact;
mod replicas;
mod request;
mod response;
mod results;
mod send;
mod stats;

use std::{io, sync::Arc};

use futures_util::{Stream, StreamExt};
use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::Endpoint;

pub use builder::Builder;
pub use error::Error;
pub use fetch::Fetch;
pub use outcome::Outcome;
use replicas::Replicas;
pub use request::Request;
pub use reqwest;
pub use response::Response;
pub use results::{InOrder, Outcomes};
use send::Source;
pub use stats::FetchStats;

/// A client of a service, or of several replicas of it.
///
/// A client is cheap to clone. All clones share their connections, which are
/// re-established if they break.
#[derive(Debug, Clone)]
pub struct Client {
    replicas: Arc<Replicas>,
}

impl Client {
    /// Connects to the service at `url`, such as `http://localhost:50051`.
    ///
    /// A list of URLs, separated by commas, names several replicas of the service. So
    /// does a name with several addresses; it is looked up again every 5 s while
    /// anything is fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] if a URL is not valid or no replica answers within 5 s.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Returns a builder, for a client with other settings than the default.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Returns a client that calls `connect` for each connection, for instance to a
    /// service in the same process. The first call of the client connects, and later
    /// ones connect again if the service has closed the connection.
    pub fn over_connector<F, S>(mut connect: F) -> Self
    where
        F: FnMut() -> io::Result<S> + Send + 'static,
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connector =
            tower::service_fn(move |_: Uri| std::future::ready(connect().map(TokioIo::new)));
        let builder = Builder::default();
        let endpoint = builder.configure(Endpoint::from_static("http://in.memory"));
        let channel = endpoint.connect_with_connector_lazy(connector);
        Self {
            replicas: Arc::new(Replicas::only(channel, builder)),
        }
    }

    /// Fetches every request of a list, and returns one result for each, in the order of
    /// the requests.
    ///
    /// If the calls to the service fail, each request without a result has the error in
    /// its place. Nothing is sent before the first poll, and dropping the future cancels
    /// the remaining requests.
    pub async fn fetch_all<I>(&self, requests: I) -> Vec<Result<reqwest::Response, Error>>
    where
        I: IntoIterator,
        I::Item: Into<Request>,
    {
        self.fetch(requests).all().await
    }

    /// Returns a builder that fetches every request of a list. Its settings come first,
    /// then the form of the results:
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
    /// Nothing is sent before the results are polled for the first time.
    pub fn fetch<I>(&self, requests: I) -> Fetch
    where
        I: IntoIterator,
        I::Item: Into<Request>,
    {
        let list = requests.into_iter().map(Into::into).collect();
        Fetch::new(Arc::clone(&self.replicas), Source::List(list))
    }

    /// Returns a builder that fetches every request of a stream, which may be endless.
    ///
    /// Requests are taken from the stream as fast as the concurrency allows, and none is
    /// taken before the results are polled for the first time.
    pub fn fetch_stream<S>(&self, requests: S) -> Fetch
    where
        S: Stream + Send + 'static,
        S::Item: Into<Request>,
    {
        let stream = requests.map(Into::into).boxed();
        Fetch::new(Arc::clone(&self.replicas), Source::Stream(stream))
    }

    /// Fetches one request, and returns the response as soon as its head and the first
    /// part of its body have arrived. The rest of the body is read as a stream.
    ///
    /// The request has a call of its own, so that a body that is not read blocks no
    /// other request. A service accepts 256 such calls at once from one client.
    ///
    /// A body that is cut short ends with an error whose source is an [`Error`].
    /// Dropping the response cancels the rest.
    ///
    /// # Errors
    ///
    /// The error of the request or of its call. Its message names the URL.
    pub async fn execute(&self, request: impl Into<Request>) -> Result<reqwest::Response, Error> {
        send::execute(Arc::clone(&self.replicas), request.into()).await
    }
}
