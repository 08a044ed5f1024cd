//! Errors from connecting to an origin.

use std::{error::Error, io, net::SocketAddr};

use crate::egress::Denied;

/// The reason why we couldn't connect to an origin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("the service has no file descriptor left for another connection")]
    NoSocket,
    #[error("{host} has no IP address")]
    NoAddress { host: String },
    #[error("looking up {host} failed")]
    Dns {
        host: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("connecting to {address} failed")]
    Tcp {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("the proxy did not open a tunnel to {target}")]
    Tunnel {
        target: String,
        source: Box<dyn Error + Send + Sync>,
    },
    #[error("the TLS handshake with {host} failed")]
    Tls { host: String, source: io::Error },
}
