//! Connects to a replica.
//!
//! This is the only place where the client opens connections. A connection counts once the
//! peer has sent its first HTTP/2 frame, as in other gRPC clients. Before that, we can't
//! tell if it accepts us: with TLS 1.3, a server that rejects our certificate only says so
//! after the handshake, and a TLS server doesn't understand us if we speak plain HTTP/2.

mod error;
mod peer;
mod stream;

use std::{collections::HashSet, io, net::SocketAddr, sync::Arc, time::Duration};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{
    net, task,
    time::{self, Instant},
};
use tokio_rustls::TlsConnector;

use super::{
    setting::InvalidSetting,
    tls::{HTTP2, Handshake, NoIdentity, TlsSettings},
};
use crate::net::{Net, Tcp, socket};
pub use error::DialError;
use error::rejected;
pub use peer::Peer;
pub use stream::Http2Stream;
use stream::open;

/// Opens connections to the addresses of a service URL.
#[derive(Debug)]
pub struct Dialer {
    network: Net,
    /// The host of the URL, without brackets.
    host: String,
    port: u16,
    /// `None` for `http` URLs.
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    settings: TlsSettings,
    /// The host of the URL. The server's certificate has to be valid for it.
    name: ServerName<'static>,
}

/// The time limit that clients have for a connection, with TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

impl Dialer {
    /// Creates the dialer for a service URL. The `settings` only apply to `https` URLs.
    ///
    /// # Errors
    ///
    /// Fails if the host of an `https` URL is neither a DNS name nor an IP address.
    pub fn new(url: &Uri, network: Net, settings: &TlsSettings) -> Result<Self, InvalidSetting> {
        let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
        let has_tls = url.scheme_str() == Some("https");
        let default_port = if has_tls { 443 } else { 80 };
        Ok(Self {
            network,
            host: host.to_owned(),
            port: url.port_u16().unwrap_or(default_port),
            tls: has_tls.then(|| Tls::new(host, settings)).transpose()?,
        })
    }

    /// Returns the host of the URL, without brackets, and the port.
    pub fn host_and_port(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Returns true for `https` URLs.
    pub fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Looks up the addresses of the host.
    pub(super) async fn look_up(&self) -> io::Result<HashSet<SocketAddr>> {
        let Some(network) = self.network.other() else {
            return Ok(net::lookup_host(self.host_and_port()).await?.collect());
        };
        let addresses = match self.host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => network.look_up(&self.host).await?.addresses,
        };
        let found = addresses.into_iter();
        Ok(found.map(|ip| SocketAddr::new(ip, self.port)).collect())
    }

    /// Connects to `address`, which takes at most `limit`.
    ///
    /// # Errors
    ///
    /// Fails if nothing that speaks HTTP/2 answers there, or if either side rejects the
    /// other's certificate.
    pub async fn dial(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<Http2Stream, DialError> {
        let deadline = Instant::now() + limit;
        let tcp = time::timeout_at(deadline, self.network.connect(address)).await;
        let tcp = tcp
            .map_err(|_| DialError::Timeout(limit))?
            .map_err(DialError::Tcp)?;
        // Otherwise Nagle's algorithm would delay small calls.
        let _ = socket(&tcp).set_nodelay();
        let opened = time::timeout_at(deadline, self.open(tcp)).await;
        opened.unwrap_or_else(|_| {
            let peer = Peer::Silent(Some(limit));
            Err(DialError::unexpected(peer, self.has_tls()))
        })
    }

    /// Opens the HTTP/2 connection, with TLS or without.
    async fn open(&self, tcp: Tcp) -> Result<Http2Stream, DialError> {
        let Some(tls) = &self.tls else {
            let opened = open(Box::new(tcp)).await;
            let opened = opened.unwrap_or(Err(Peer::Silent(None)));
            return opened.map_err(|peer| DialError::unexpected(peer, false));
        };
        let settings = tls.settings.clone();
        let Handshake {
            config,
            no_identity,
        } = task::spawn_blocking(move || settings.handshake())
            .await
            .map_err(|error| DialError::Tcp(error.into()))??;
        let rejected = |error| {
            let was_asked = no_identity.as_deref().map(NoIdentity::was_asked);
            rejected(&error, &tls.settings, was_asked)
        };
        let connecting = TlsConnector::from(config).connect(tls.name.clone(), tcp);
        let stream = connecting.await.map_err(rejected)?;
        if stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(DialError::no_http2());
        }
        let opened = open(Box::new(stream)).await.map_err(rejected)?;
        opened.map_err(|peer| DialError::unexpected(peer, true))
    }

    /// Returns a connector for tonic that connects to `address`.
    pub(super) fn connector(
        self: &Arc<Self>,
        address: SocketAddr,
    ) -> impl tower::Service<Uri, Response = TokioIo<Http2Stream>, Error = DialError, Future: Send>
    + Send
    + 'static {
        let dialer = Arc::clone(self);
        tower::service_fn(move |_: Uri| {
            let dialer = Arc::clone(&dialer);
            async move {
                let stream = dialer.dial(address, CONNECT_TIMEOUT).await?;
                Ok(TokioIo::new(stream))
            }
        })
    }
}

impl Tls {
    fn new(host: &str, settings: &TlsSettings) -> Result<Self, InvalidSetting> {
        let name = ServerName::try_from(host.to_owned()).map_err(|error| {
            let problem = format!("expected a DNS name or an IP address, got {host:?} ({error})");
            InvalidSetting::new("host of the URL", problem)
        })?;
        let settings = settings.clone();
        Ok(Self { settings, name })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::future::BoxFuture;

    use super::*;
    use crate::net::{Addresses, Network, Socket};

    #[derive(Debug)]
    struct WithoutNames;

    impl Network for WithoutNames {
        fn connect(&self, address: SocketAddr) -> BoxFuture<'static, io::Result<Box<dyn Socket>>> {
            panic!("a connection to {address}")
        }

        fn look_up(&self, name: &str) -> BoxFuture<'static, io::Result<Addresses>> {
            panic!("a look-up of {name}")
        }
    }

    #[tokio::test]
    async fn addresses_are_not_looked_up() {
        for (url, address) in [
            ("http://10.0.0.1:50051", "10.0.0.1:50051"),
            ("http://[2001:db8::1]", "[2001:db8::1]:80"),
        ] {
            let network = Net::new(Arc::new(WithoutNames));
            let url = url.parse().unwrap();
            let dialer = Dialer::new(&url, network, &TlsSettings::default()).unwrap();
            let found = dialer.look_up().await.unwrap();
            assert_eq!(found, HashSet::from([address.parse().unwrap()]));
        }
    }
}
