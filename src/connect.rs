//! Connects to origins. No other module opens a connection to one.
//!
//! [`Connector::connect`] checks host and port against the egress policy, resolves the
//! name and then checks every address before dialing it. (If the URL has a literal
//! address, there's nothing to resolve, but we check it just the same.) While this runs,
//! [`Progress`] keeps track of the current stage and phase durations, so they're known
//! even if the attempt fails. Idle connections go into a [`Pool`] for later requests.

mod cache;
mod error;
mod happy_eyeballs;
mod origin;
mod pool;
mod progress;
mod resolver;
mod sockets;
mod stream;
mod tls;
mod tunnel;

use std::{io, sync::Arc};

use http::Uri;
use rustls::pki_types::ServerName;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;

use crate::{
    config::Origins,
    egress::{Policy, Target},
    net::{Net, Tcp},
    telemetry::OriginMetrics,
};
pub(crate) use error::ConnectError;
pub(crate) use origin::Origin;
pub(crate) use pool::{IdleState, Pool, PoolLimits, Poolable};
pub(crate) use progress::{Progress, Stage};
use resolver::Resolver;
pub(crate) use sockets::SocketLimit;
use stream::MaybeTlsStream;
pub(crate) use stream::OriginStream;
use tunnel::Tunnel;

/// Opens connections to origins.
pub(crate) struct Connector {
    policy: Policy,
    network: Net,
    resolver: Arc<Resolver>,
    tunnel: Option<Tunnel>,
    tls: TlsConnector,
    sockets: SocketLimit,
    metrics: OriginMetrics,
}

impl Connector {
    /// Creates a connector that only dials addresses allowed by `policy`.
    pub(crate) fn new(policy: Policy, origins: &Origins, metrics: OriginMetrics) -> Self {
        let resolver = Arc::new(Resolver::new(origins, metrics.dns.clone()));
        let network = origins.network.clone();
        let proxy = origins.proxy.clone();
        Self {
            policy,
            tunnel: proxy.map(|proxy| Tunnel::new(proxy, network.clone(), Arc::clone(&resolver))),
            network,
            resolver,
            tls: tls::connector(&origins.extra_roots),
            sockets: SocketLimit::new(origins.max_sockets),
            metrics,
        }
    }

    /// Returns the open socket limit.
    pub(crate) fn sockets(&self) -> &SocketLimit {
        &self.sockets
    }

    /// Connects to the origin of `uri`.
    ///
    /// The attempt can be cancelled by dropping the future, e.g. on a timeout. In that
    /// case `progress` still tells how far we got.
    pub(crate) async fn connect(
        &self,
        uri: &Uri,
        progress: &mut Progress<'_>,
    ) -> Result<OriginStream, ConnectError> {
        let target = Target::of(uri);
        self.policy.check_target(&target)?;
        let permit = self.sockets.acquire().await.ok_or(ConnectError::NoSocket)?;
        let tcp = self.connect_tcp(&target, progress).await?;
        let connected = permit.into_connected();
        let stream = if uri.scheme_str() == Some("https") {
            let started = Instant::now();
            let tls = self.handshake(uri.host().unwrap_or_default(), tcp).await?;
            progress.secured(started.elapsed());
            tls
        } else {
            MaybeTlsStream::Left(tcp)
        };
        let open = self.metrics.open_connection();
        Ok(OriginStream::new(stream, connected, open))
    }

    async fn connect_tcp(
        &self,
        target: &Target<'_>,
        progress: &mut Progress<'_>,
    ) -> Result<Tcp, ConnectError> {
        let policy = &self.policy;
        let started = Instant::now();
        if let Some(tunnel) = &self.tunnel {
            // We can't know which of these addresses the proxy will pick, so all of them
            // have to be allowed.
            target
                .known_addresses()
                .try_for_each(|address| policy.check_address(address))?;
            progress.stage = Stage::Proxy;
            let tcp = tunnel.open(target).await?;
            progress.connected(started.elapsed(), None);
            return Ok(tcp);
        }
        let is_allowed = |address| policy.check_address(address).is_ok();
        let addresses = self.resolver.resolve(target, is_allowed).await?;
        let resolved = Instant::now();
        progress.resolved(target.is_name().then(|| resolved - started));
        let tcp =
            happy_eyeballs::connect(&self.network, policy.allowed_addresses(addresses)?).await?;
        progress.connected(resolved.elapsed(), Some(&tcp));
        Ok(tcp)
    }

    async fn handshake(&self, host: &str, tcp: Tcp) -> Result<MaybeTlsStream, ConnectError> {
        let failed = |source| ConnectError::Tls {
            host: host.to_owned(),
            source,
        };
        let host_name = host.trim_matches(['[', ']']).trim_end_matches('.');
        let server_name = ServerName::try_from(host_name.to_owned())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        // It observes the time when it's dropped, so failed and cancelled handshakes count.
        let _timer = self.metrics.tls.start_timer();
        let stream = self.tls.connect(server_name, tcp).await.map_err(failed)?;
        Ok(MaybeTlsStream::Right(Box::new(stream)))
    }
}
