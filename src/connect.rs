//! The one way to the network: judge, resolve, judge again, dial, TLS.
//!
//! [`Connector::connect`] makes a new connection. The host and the port are
//! judged before anything is looked up; then every address, literal or resolved,
//! right before it is dialled, and only what was judged is dialled. How far it
//! has come, and how long each phase took, stands in a [`Progress`], also if it
//! fails. Connections that are kept for later requests are in a [`Pool`].

mod cache;
mod names;
mod pool;
mod progress;
mod race;
mod sockets;
mod stream;
mod tls;
mod tunnel;

use std::{error::Error, io, net::SocketAddr, sync::Arc};

use hickory_resolver::net::NetError;
use http::Uri;
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::Instant};
use tokio_rustls::TlsConnector;

use crate::{
    config::Origins,
    egress::{Denied, Policy, Target},
};
use names::Names;
pub(crate) use pool::{Keep, Limits, Origin, Pool, Quiet};
pub(crate) use progress::{Progress, Stage};
pub(crate) use sockets::Sockets;
use stream::Layers;
pub(crate) use stream::OriginStream;
use tunnel::Tunnel;

/// Makes connections to origins.
pub(crate) struct Connector {
    policy: Policy,
    names: Arc<Names>,
    tunnel: Option<Tunnel>,
    tls: TlsConnector,
    sockets: Sockets,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the service has no file descriptor left for another connection")]
    NoSocket,
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
}

impl Connector {
    /// A connector to what `policy` allows.
    pub(crate) fn new(policy: Policy, origins: &Origins) -> Self {
        let names = Arc::new(Names::new(&origins.name_servers));
        let proxy = origins.proxy.clone();
        Self {
            policy,
            tunnel: proxy.map(|proxy| Tunnel::new(proxy, Arc::clone(&names))),
            names,
            tls: tls::connector(&origins.extra_roots),
            sockets: Sockets::new(origins.max_sockets),
        }
    }

    /// The sockets that connections take.
    pub(crate) fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// Connects to where `uri` leads. Dropping the future, such as at a timeout,
    /// stops it; `progress` then says how far it has come.
    pub(crate) async fn connect(
        &self,
        uri: &Uri,
        progress: &mut Progress,
    ) -> Result<OriginStream, ConnectError> {
        let target = Target::of(uri);
        self.policy.judge_target(&target)?;
        let socket = self.sockets.take().await.ok_or(ConnectError::NoSocket)?;
        let tcp = self.tcp(&target, progress).await?;
        let socket = socket.connected();
        if uri.scheme_str() != Some("https") {
            return Ok(OriginStream::new(Layers::Plain(tcp), socket));
        }
        progress.stage = Stage::Tls;
        let begun = Instant::now();
        let tls = self.handshake(uri.host().unwrap_or_default(), tcp).await?;
        progress.phases.tls = Some(begun.elapsed());
        Ok(OriginStream::new(tls, socket))
    }

    async fn tcp(
        &self,
        target: &Target<'_>,
        progress: &mut Progress,
    ) -> Result<TcpStream, ConnectError> {
        let policy = &self.policy;
        let begun = Instant::now();
        if let Some(tunnel) = &self.tunnel {
            // Which of them the proxy would take is not known here.
            target
                .known_addresses()
                .try_for_each(|address| policy.judge(address))?;
            progress.stage = Stage::Proxy;
            let tcp = tunnel.open(target).await?;
            progress.phases.connect = Some(begun.elapsed());
            return Ok(tcp);
        }
        let is_allowed = |address| policy.judge(address).is_ok();
        let addresses = self.names.addresses(target, is_allowed).await?;
        let resolved = Instant::now();
        progress.phases.dns = target.is_name().then(|| resolved - begun);
        progress.stage = Stage::Tcp;
        let tcp = race::race(policy.allowed(addresses)?).await?;
        progress.phases.connect = Some(resolved.elapsed());
        Ok(tcp)
    }

    async fn handshake(&self, host: &str, tcp: TcpStream) -> Result<Layers, ConnectError> {
        let failed = |source| ConnectError::Tls {
            host: host.to_owned(),
            source,
        };
        let name = host.trim_matches(['[', ']']).trim_end_matches('.');
        let name = ServerName::try_from(name.to_owned())
            .map_err(|error| failed(io::Error::new(io::ErrorKind::InvalidInput, error)))?;
        let stream = self.tls.connect(name, tcp).await.map_err(failed)?;
        Ok(Layers::Tls(Box::new(stream)))
    }
}
