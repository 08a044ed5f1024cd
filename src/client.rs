//! The Rust client: a list in, the same list back, in order.
//!
//! [`Client::fetch_all`] gives one result per request, in the order of the
//! requests. [`Client::fetch`] is a stream of results as they arrive, and
//! [`Fetch::in_order`] on it gives each as soon as all before it are there.
//! [`Client::execute`] gives one response whose body is read as a stream, for
//! what is too large to hold. Requests may be URLs, [`Request`]s or
//! `reqwest::Request`s, and results are `reqwest::Response`s.

mod assembly;
mod error;
mod fetch;
mod outcome;
mod request;
mod single;

use std::{io, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::{Channel, Endpoint};

use crate::proto::fetch_service_client::FetchServiceClient;
pub use error::Error;
pub use fetch::{Fetch, InOrder};
pub use outcome::{Outcome, Response, Stats};
pub use request::Request;

/// A connection to a service. Cheap to clone; the clones share the connection,
/// which is made anew where it broke.
#[derive(Debug, Clone)]
pub struct Client {
    service: FetchServiceClient<Channel>,
}

/// How long connecting to the service may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A service that vanished without a word is noticed after these two.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);

/// How much of the responses to one call a service may send ahead.
const STREAM_WINDOW: u32 = 2 << 20;
/// The same of all calls together: as much as HTTP/2 knows, so that no unread
/// call holds up another.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

impl Client {
    /// Connects to the service at `url`, such as `http://localhost:50051`.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] where the URL is not valid or nobody answers there
    /// within 5 s.
    pub async fn connect(url: impl Into<String>) -> Result<Self, Error> {
        let endpoint =
            Endpoint::from_shared(url.into()).map_err(|error| Error::transport(&error))?;
        let channel = settings(endpoint).connect().await;
        Ok(Self::over(
            channel.map_err(|error| Error::transport(&error))?,
        ))
    }

    /// A client over one connection that is there already, to a service within
    /// the same process for instance.
    pub fn over_stream<S>(stream: S) -> Self
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut stream = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_: Uri| {
            let stream = stream.take();
            std::future::ready(stream.ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
        });
        let endpoint = settings(Endpoint::from_static("http://in.memory"));
        Self::over(endpoint.connect_with_connector_lazy(connector))
    }

    fn over(channel: Channel) -> Self {
        Self {
            service: FetchServiceClient::new(channel),
        }
    }

    /// Fetches every request and gives one result for each, in their order. A
    /// call that fails as a whole is an error in each place that has no result.
    ///
    /// Dropping the future cancels what is not done.
    pub async fn fetch_all<I>(&self, requests: I) -> Vec<Result<reqwest::Response, Error>>
    where
        I: IntoIterator,
        I::Item: Into<Request>,
    {
        self.fetch(requests).all().await
    }

    /// Fetches every request and gives the outcomes as they arrive. The call is
    /// made when the stream is first polled; dropping it cancels what is not
    /// done.
    pub fn fetch<I>(&self, requests: I) -> Fetch
    where
        I: IntoIterator,
        I::Item: Into<Request>,
    {
        Fetch::new(self.service.clone(), requests.into_iter().map(Into::into))
    }

    /// Fetches one request, and gives the response as soon as its head and the
    /// first part of its body are there; the rest is read as a stream. It has
    /// a call of its own, so that a body nobody reads holds up no other; of
    /// such calls, a service takes 256 at once from one client.
    ///
    /// A body that is cut short ends with an error whose source is an
    /// [`Error`]. Dropping the response cancels the rest.
    ///
    /// # Errors
    ///
    /// As the request ended, or the call failed.
    pub async fn execute(&self, request: impl Into<Request>) -> Result<reqwest::Response, Error> {
        single::execute(self.service.clone(), request.into()).await
    }
}

fn settings(endpoint: Endpoint) -> Endpoint {
    endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
}
