//! A service URL: the addresses of its name, and how to connect to them.

use std::{collections::HashSet, net::SocketAddr, sync::Arc, time::Duration};

use http::Uri;
use tokio::time;
use tonic::transport::{Channel, Endpoint, Error as TransportError};

use crate::client::{
    Builder, Error,
    dial::Dialer,
    redact::redacted,
    service_url::{EXPECTED_URL, parse_service_url},
};

/// The URL of a service.
#[derive(Debug, Clone)]
pub(super) struct Target {
    url: Uri,
    dialer: Arc<Dialer>,
}

/// Time limit for one look-up.
const TIMEOUT: Duration = Duration::from_secs(5);

impl Target {
    /// Parses a service URL.
    pub(super) fn parse(url: &str, builder: &Builder) -> Result<Self, Error> {
        let Some(url) = parse_service_url(url) else {
            let (expected, url) = (EXPECTED_URL, redacted(url));
            return Err(Error::invalid(format!("{expected}, got {url:?}")));
        };
        let dialer = Arc::new(Dialer::new(&url, builder.network.clone(), &builder.tls)?);
        Ok(Self { url, dialer })
    }

    /// Returns the host of the URL.
    pub(super) fn host(&self) -> &str {
        self.dialer.host_and_port().0
    }

    pub(super) fn has_tls(&self) -> bool {
        self.dialer.has_tls()
    }

    /// Looks up the addresses. Returns `None` if that fails.
    pub(super) async fn resolve(&self) -> Option<HashSet<SocketAddr>> {
        let found = time::timeout(TIMEOUT, self.dialer.look_up()).await;
        found.ok()?.ok()
    }

    /// Connects to one of the addresses.
    pub(super) async fn connect(
        &self,
        address: SocketAddr,
        builder: &Builder,
    ) -> Result<Channel, TransportError> {
        let connector = self.dialer.connector(address);
        self.endpoint(builder)
            .connect_with_connector(connector)
            .await
    }

    /// Returns a channel that connects to one of the addresses as soon as it's needed.
    pub(super) fn channel(&self, address: SocketAddr, builder: &Builder) -> Channel {
        let connector = self.dialer.connector(address);
        self.endpoint(builder)
            .connect_with_connector_lazy(connector)
    }

    fn endpoint(&self, builder: &Builder) -> Endpoint {
        // The connector doesn't look at this URL. It isn't `https` because tonic, if built
        // with TLS, would then ask for settings of its own. Calls still have the caller's
        // URL as their `:scheme` and `:authority`.
        let endpoint = Endpoint::from_static("http://replica").origin(self.url.clone());
        builder.configure(endpoint)
    }
}
