//! The one way to the network: resolve, judge, dial, TLS.
//!
//! [`Connector`] is what hyper's client calls for a new connection. Every
//! address, literal or resolved, is judged right before it is dialled, and
//! only what was judged is dialled. A [`Dial`], which the fetch puts around its
//! request, brings the request's `connect_timeout` here and tells the fetch how
//! far connecting has come.

mod dial;
mod stream;

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use hickory_resolver::{
    TokioResolver,
    config::{LookupIpStrategy, NameServerConfig, ResolverConfig},
    net::{NetError, runtime::TokioRuntimeProvider},
    proto::rr::Name,
};
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use tokio::{net::TcpStream, time};
use tokio_rustls::TlsConnector;
use tower::Service;

use crate::{
    config::Origins,
    egress::{Denied, Policy},
};
pub(crate) use dial::{Dial, Stage};
pub(crate) use stream::OriginStream;

/// Makes connections to origins.
#[derive(Clone)]
pub(crate) struct Connector(Arc<Inner>);

struct Inner {
    resolver: TokioResolver,
    policy: Policy,
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
    #[error("the TLS handshake with {host} failed")]
    Tls { host: String, source: io::Error },
    #[error("connect_timeout of {timeout:?} passed {stage}")]
    TimedOut { timeout: Duration, stage: Stage },
}

/// The most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 4;

/// How long one dial may take before the next starts beside it (RFC 8305, 5).
const DIAL_DELAY: Duration = Duration::from_millis(250);

impl Connector {
    /// A connector to what `policy` allows.
    pub(crate) fn new(policy: Policy, origins: &Origins) -> Self {
        Self(Arc::new(Inner {
            resolver: resolver(&origins.name_servers),
            policy,
            tls: tls(&origins.extra_roots),
            open: Arc::default(),
        }))
    }

    /// How many connections to origins are open.
    pub(crate) fn open_connections(&self) -> usize {
        Arc::strong_count(&self.0.open) - 1
    }

    async fn connect(self, uri: Uri, dial: &Dial) -> Result<OriginStream, ConnectError> {
        let host = uri.host().unwrap_or_default();
        let is_tls = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });

        let addresses = self.addresses(host, port).await?;
        dial.enter(Stage::Tcp);
        let tcp = race(self.judged(addresses)?).await?;
        if !is_tls {
            return Ok(OriginStream::plain(tcp, Arc::clone(&self.0.open)));
        }
        dial.enter(Stage::Tls);
        self.handshake(host, tcp).await
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
        if let Ok(literal) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![SocketAddr::new(literal, port)]);
        }
        let failed = |source| {
            let host = host.to_owned();
            match source {
                NetError::Dns(_) if NetError::is_no_records_found(&source) => {
                    ConnectError::NoAddress { host }
                }
                source => ConnectError::Dns {
                    host,
                    source: Box::new(source),
                },
            }
        };
        let unnamed = |_| ConnectError::NoAddress {
            host: host.to_owned(),
        };
        let mut name = Name::from_ascii(host).map_err(unnamed)?;
        // Search domains do not apply: `http://kubernetes/` is no cluster name.
        name.set_fqdn(true);
        let lookup = self.0.resolver.lookup_ip(name).await.map_err(failed)?;
        let (v6, v4): (Vec<_>, Vec<_>) = lookup.iter().partition(std::net::IpAddr::is_ipv6);
        let addresses = interleaved(v6, v4);
        if addresses.is_empty() {
            let host = host.to_owned();
            return Err(ConnectError::NoAddress { host });
        }
        let addresses = addresses.into_iter();
        Ok(addresses.map(|ip| SocketAddr::new(ip, port)).collect())
    }

    /// The allowed addresses among `addresses`, or why there is none.
    fn judged(&self, addresses: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Denied> {
        let mut denied = None;
        let mut allowed = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.0.policy.judge(address) {
                Ok(()) => allowed.push(address),
                Err(error) => denied = Some(error),
            }
        }
        match denied {
            Some(denied) if allowed.is_empty() => Err(denied),
            _ => Ok(allowed),
        }
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

/// Alternates the families, IPv6 first (RFC 8305, 4), and keeps the first few.
fn interleaved<T>(v6: Vec<T>, v4: Vec<T>) -> Vec<T> {
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut mixed = Vec::with_capacity(MAX_ADDRESSES);
    while mixed.len() < MAX_ADDRESSES {
        let before = mixed.len();
        mixed.extend(v6.next());
        mixed.extend(v4.next());
        if mixed.len() == before {
            break;
        }
    }
    mixed.truncate(MAX_ADDRESSES);
    mixed
}

/// Dials the addresses in order, the next after a failure or a short while,
/// and returns the first connection (RFC 8305, 5). Dropping the future stops
/// every dial.
async fn race(addresses: Vec<SocketAddr>) -> Result<TcpStream, ConnectError> {
    let mut waiting = addresses.into_iter();
    let mut dials = FuturesUnordered::new();
    dials.extend(waiting.next().map(dial_one));
    loop {
        let late = time::sleep(DIAL_DELAY);
        tokio::select! {
            dialled = dials.next() => match dialled.expect("a dial is under way until the last has failed") {
                Ok(stream) => return Ok(stream),
                Err(error) => match waiting.next() {
                    Some(address) => dials.push(dial_one(address)),
                    None if dials.is_empty() => return Err(error),
                    None => {}
                },
            },
            () = late, if waiting.len() > 0 => dials.extend(waiting.next().map(dial_one)),
        }
    }
}

async fn dial_one(address: SocketAddr) -> Result<TcpStream, ConnectError> {
    let dialled = async {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    dialled
        .await
        .map_err(|source| ConnectError::Tcp { address, source })
}

/// A resolver that asks `name_servers`, or the system's where there are none.
fn resolver(name_servers: &[SocketAddr]) -> TokioResolver {
    let provider = TokioRuntimeProvider::default;
    let of = |config| TokioResolver::builder_with_config(config, provider());
    let mut builder = if name_servers.is_empty() {
        TokioResolver::builder_tokio().unwrap_or_else(|error| {
            tracing::warn!(%error, "no name servers: the system's DNS configuration cannot be read");
            of(ResolverConfig::from_parts(None, Vec::new(), Vec::new()))
        })
    } else {
        let servers = name_servers.iter().map(|address| {
            let mut server = NameServerConfig::udp_and_tcp(address.ip());
            for connection in &mut server.connections {
                connection.port = address.port();
            }
            server
        });
        of(ResolverConfig::from_parts(
            None,
            Vec::new(),
            servers.collect(),
        ))
    };
    builder.options_mut().ip_strategy = LookupIpStrategy::Ipv6AndIpv4;
    builder
        .build()
        .expect("building a resolver can fail only over TLS settings, and there are none")
}

/// TLS that trusts the system's roots and `extra_roots`.
fn tls(extra_roots: &[Vec<u8>]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs().certs;
    let extra = extra_roots.iter().cloned().map(CertificateDer::from);
    let (added, _) = roots.add_parsable_certificates(found.into_iter().chain(extra));
    if added == 0 {
        tracing::warn!("no root certificates were found: every https origin will be refused");
    }
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = ClientConfig::builder_with_provider(provider.into())
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs offers cipher suites for TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_alternate_and_the_list_is_short() {
        assert_eq!(interleaved(vec![6, 60], vec![4, 40, 400]), [6, 4, 60, 40]);
        assert_eq!(interleaved(vec![], vec![4, 40, 400, 1, 2]), [4, 40, 400, 1]);
        assert!(interleaved(Vec::<u8>::new(), vec![]).is_empty());
    }

    #[tokio::test]
    async fn the_next_address_is_dialled_when_one_fails() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let stream = race(vec![closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let error = race(vec![closed, closed]).await.unwrap_err();
        assert!(matches!(error, ConnectError::Tcp { .. }));
    }
}
