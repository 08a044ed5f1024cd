//! The Rust client: a list in, the same list back, in order.
//!
//! [`Client::fetch_all`] gives one result per request, in the order of the
//! requests. [`Client::fetch`] is a stream of results as they arrive, and
//! [`Fetch::in_order`] on it gives each as soon as all before it are there.
//! [`Client::execute`] gives one response whose body is read as a stream, for
//! what is too large to hold. Requests may be URLs, [`Request`]s or
//! `reqwest::Request`s, a list or an endless stream of them, and results are
//! `reqwest::Response`s.
//!
//! A client knows one service or several replicas of it. Each host is fetched by
//! the replica that it prefers, as far as no replica has much more to do than the
//! others. Where a connection breaks, a replica drains or dies, what has no
//! result yet is sent again, and nothing that must not be sent twice is.

mod assembly;
mod balance;
mod builder;
mod call;
mod dispatch;
mod endpoint;
mod endpoints;
mod error;
mod failure;
mod fetch;
mod hold;
mod item;
mod load;
mod outage;
mod outcome;
mod request;
mod resend;
mod single;
mod source;

use std::{io, sync::Arc};

use http::Uri;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::transport::Endpoint;

pub use builder::Builder;
use endpoints::Endpoints;
pub use error::Error;
pub use fetch::{Fetch, InOrder};
pub use outcome::{Outcome, Response, Stats};
pub use request::Request;
pub use source::Requests;

/// A client of a service, or of its replicas. Cheap to clone; the clones share
/// the connections, which are made anew where they broke.
#[derive(Debug, Clone)]
pub struct Client {
    endpoints: Arc<Endpoints>,
}

impl Client {
    /// Connects to the service at `url`, such as `http://localhost:50051`: several
    /// replicas where it is a list, separated by commas, or a name with several
    /// addresses, which is looked up again every 5 s while anything is fetched.
    ///
    /// # Errors
    ///
    /// [`Error::Call`] where a URL is not valid or nobody answers within 5 s.
    pub async fn connect(url: impl AsRef<str>) -> Result<Self, Error> {
        Self::builder().connect(url).await
    }

    /// Settings for a client, to be changed before it connects.
    pub fn builder() -> Builder {
        Builder::default()
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
        let builder = Builder::default();
        let endpoint = builder.set(Endpoint::from_static("http://in.memory"));
        Self {
            endpoints: Arc::new(Endpoints::only(
                endpoint.connect_with_connector_lazy(connector),
                builder,
            )),
        }
    }

    /// Fetches every request and gives one result for each, in their order. A
    /// call that fails as a whole is an error in each place that has no result.
    ///
    /// Dropping the future cancels what is not done.
    pub async fn fetch_all<L, Kind>(&self, requests: L) -> Vec<Result<reqwest::Response, Error>>
    where
        L: Requests<Kind>,
    {
        self.fetch(requests).all().await
    }

    /// Fetches every request, of a list or of a `Stream`, and gives the outcomes
    /// as they arrive. Calls are made when the stream is first polled; dropping it
    /// cancels what is not done.
    ///
    /// What comes as a stream is taken as fast as the concurrency allows.
    pub fn fetch<L, Kind>(&self, requests: L) -> Fetch
    where
        L: Requests<Kind>,
    {
        Fetch::new(Arc::clone(&self.endpoints), requests.into_source().0)
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
        single::execute(&self.endpoints, request.into()).await
    }
}
