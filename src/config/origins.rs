//! How the service deals with origins.

use std::{net::SocketAddr, time::Duration};

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::{ConfigError, Proxy};
use crate::net::Net;

/// How to find and trust origins, and how to keep connections to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The name servers to use. If there aren't any, the system's name servers are used.
    /// Default: none.
    pub name_servers: Vec<SocketAddr>,
    /// Root certificates (DER) to trust in addition to the system's. Default: none.
    pub extra_roots: Vec<Vec<u8>>,
    /// An HTTP proxy to use for all fetches. Environment variables are ignored.
    /// Default: none.
    ///
    /// Note that with a proxy, it's the proxy that resolves names. The service only
    /// checks hosts, ports and any addresses in URLs, so the proxy has to check the
    /// resolved addresses itself.
    pub proxy: Option<Proxy>,
    /// The maximum number of open sockets to origins, including idle ones. If a fetch
    /// would need one more, it ends with `REASON_INTERNAL`. `fetchd serve` sets this so
    /// that callers are still able to connect. Default (`None`): as many as the system
    /// allows.
    pub max_sockets: Option<usize>,
    /// How long to keep an idle connection. Common servers close theirs after 5 s, and we
    /// shouldn't send a request while that happens, so this is a bit shorter. Default:
    /// 4 s.
    pub pool_idle_timeout: Duration,
    /// The network that origins are reached through, unless it's that of the operating
    /// system. If it's another one, `name_servers` has no effect. Semantic versioning doesn't
    /// cover it.
    pub network: Net,
}

impl Origins {
    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        for (position, root) in self.extra_roots.iter().enumerate() {
            let added = RootCertStore::empty().add(CertificateDer::from(root.as_slice()));
            if let Err(error) = added {
                let certificate = format!("certificate {}", position + 1);
                let expected = format!("expected X.509 certificates ({error})");
                return Err(ConfigError::new("ca-cert", certificate, expected));
            }
        }
        Ok(())
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self {
            name_servers: Vec::new(),
            extra_roots: Vec::new(),
            proxy: None,
            max_sockets: None,
            pool_idle_timeout: Duration::from_secs(4),
            network: Net::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_that_is_not_a_certificate_is_rejected() {
        let origins = Origins {
            extra_roots: vec![b"nonsense".to_vec()],
            ..Origins::default()
        };
        let error = origins.validate().unwrap_err().to_string();
        assert!(error.starts_with("--ca-cert: "), "{error}");
    }
}
