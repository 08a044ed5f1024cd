//! The one way to the network: judge, resolve, judge again, dial, TLS.
//!
//! [`Connector`] is what hyper's client calls for a new connection. The host
//! and the port are judged before anything is looked up; then every address,
//! literal or resolved, right before it is dialled, and only what was judged is
//! dialled. A [`Dial`], which the fetch puts around its request, brings the
//! request's `connect_timeout` here and tells the fetch how far connecting has
//! come.

mod cache;
mod dial;
mod names;
mod race;
mod stream;
mod tls;
mod tunnel;

use std::{
    error::Error,
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use hickory_resolver::net::NetError;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::{
    config::Origins,
    egress::{Denied, Policy, Target},
};
pub(crate) use dial::{Dial, Stage};
use names::Names;
pub(crate) use stream::{OriginStream, Unusable};
use tunnel::Tunnel;

/// Makes connections to origins.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    policy: Policy,
    names: Arc<Names>,
    tunnel: Option<Tunnel>,
    tls: TlsConnector,
    /// Each open connection holds a clone.
    open: Arc<()>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("{host} has no address")]
    NoAddress { host: String },
    #[error("looking up {host} failed")]
    Dns { host: String, source: Box<NetError> },
    #[error("connecting to {address} failed")]
    Tcp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the proxy opened no tunnel to {target}")]
    Tunnel {
        target: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the TLS handshake with {host} failed")]
    Tls { host: String, source: io::Error },
    #[error("connect_timeout of {timeout:?} passed {stage}")]
    TimedOut { timeout: Duration, stage: Stage },
}

impl Connector {
    /// A connector to what `policy` allows.
    pub(crate) fn new(policy: Policy, origins: &Origins) -> Self {
        let names = Arc::new(Names::new(&origins.name_servers));
        let proxy = origins.proxy.clone();
        Self(Arc::new(Inner {
            policy,
            tunnel: proxy.map(|proxy| Tunnel::new(proxy, Arc::clone(&names))),
            names,
            tls: tls::connector(&origins.extra_roots),
            open: Arc::default(),
        }))
    }

    /// How many connections to origins are open.
    pub(crate) fn open_connections(&self) -> usize {
        Arc::strong_count(&self.0.open) - 1
    }

    async fn connect(self, uri: Uri, dial: &Dial) -> Result<OriginStream, ConnectError> {
        let (target, policy) = (Target::of(&uri), &self.0.policy);
        policy.judge_target(&target)?;
        let tcp = if let Some(tunnel) = &self.0.tunnel {
            // Which of them the proxy would take is not known here.
            target
                .known_addresses()
                .try_for_each(|address| policy.judge(address))?;
            dial.enter(Stage::Proxy);
            tunnel.open(&target).await?
        } else {
            let is_allowed = |address| policy.judge(address).is_ok();
            let addresses = self.0.names.addresses(&target, is_allowed).await?;
            dial.enter(Stage::Tcp);
            race::race(policy.allowed(addresses)?).await?
        };
        if uri.scheme_str() != Some("https") {
            return Ok(OriginStream::plain(tcp, Arc::clone(&self.0.open)));
        }
        dial.enter(Stage::Tls);
        self.handshake(uri.host().unwrap_or_default(), tcp).await
    }

    async fn handshake(&self, host: &str, tcp: TcpStream) -> Result<OriginStream, ConnectError> {
        let failed = |source| ConnectError::Tls {
            host: host.to_owned(),
            source,
        };
        let name = host.trim_matches(['[', ']']).trim_end_matches('.');
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = self.0.tls.connect(name, tcp).await.map_err(failed)?;
        Ok(OriginStream::tls(stream, Arc::clone(&self.0.open)))
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<OriginStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    /// Always ready, so that `call` runs in the task of the request, where its
    /// [`Dial`] is.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = Dial::current();
        let this = self.clone();
        Box::pin(async move {
            let connecting = time::timeout(dial.timeout(), this.connect(uri, &dial));
            let connected = connecting.await.unwrap_or_else(|_| {
                Err(ConnectError::TimedOut {
                    timeout: dial.timeout(),
                    stage: dial.stage(),
                })
            });
            connected.map(TokioIo::new)
        })
    }
}
