//! How the service deals with origins.

use std::{net::SocketAddr, time::Duration};

use rustls::{RootCertStore, pki_types::CertificateDer};

use super::{ConfigError, Proxy};

/// How origins are found and trusted, and how connections to them are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The name servers to ask, or those of the system if there are none. Default:
    /// none.
    pub name_servers: Vec<SocketAddr>,
    /// Root certificates (DER) that are trusted in addition to the system's. Default:
    /// none.
    pub extra_roots: Vec<Vec<u8>>,
    /// The HTTP proxy for all fetches. The proxy resolves names, so it must check the
    /// resolved addresses itself; the service checks only hosts, ports and addresses
    /// in URLs. Default: none, whatever the environment says.
    pub proxy: Option<Proxy>,
    /// The most sockets to origins at once, idle ones included. A fetch that needs
    /// one more ends with `REASON_INTERNAL`. `fetchd serve` sets it so that callers
    /// can still connect. Default (`None`): as many as the system allows.
    pub max_sockets: Option<usize>,
    /// How long an idle connection is kept. Default: 4 s. Common servers close idle
    /// connections after 5 s, and a request must not use a connection that is being
    /// closed.
    pub pool_idle_timeout: Duration,
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
        assert!(
            error.starts_with("invalid value 'certificate 1' for '--ca-cert'"),
            "{error}"
        );
    }
}
