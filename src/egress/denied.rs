//! The reasons for which the egress policy denies a destination.

use std::net::{IpAddr, SocketAddr};

/// A destination that is denied, by the rule that denies it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The scheme is neither `http` nor `https`.
    #[error("the scheme is denied: expected http or https")]
    Scheme,
    /// `--allow-port` is set and does not include the port.
    #[error("port {0} is denied: --allow-port does not name it")]
    Port(u16),
    /// `--deny-host` includes the host.
    #[error("the host {0} is denied by --deny-host")]
    Host(String),
    /// `--allow-host` is set and does not include the host.
    #[error("the host {0} is denied: --allow-host does not name it")]
    OtherHost(String),
    /// The service itself listens there.
    #[error("the address {0} is denied: the service itself listens there")]
    Listener(SocketAddr),
    /// `--deny-net` includes the address.
    #[error("the address {0} is denied by --deny-net")]
    Net(IpAddr),
    /// The address embeds an IPv4 address that a gateway elsewhere extracts.
    #[error("the address {address} is denied: it embeds an IPv4 address ({form})")]
    Embedding {
        /// The whole address.
        address: IpAddr,
        /// The name of the form of embedding.
        form: &'static str,
    },
    /// The address is not public unicast, and `--allow-net` does not include it.
    #[error("the address {address} is denied: {range} (can be allowed with --allow-net)")]
    Range {
        /// The address, or the IPv4 address that is mapped into it.
        address: IpAddr,
        /// The name of the range.
        range: &'static str,
    },
}

impl Denied {
    /// Returns the name of the rule, which is one of a fixed set.
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Scheme => "scheme",
            Self::Port(_) => "allow-port",
            Self::Host(_) => "deny-host",
            Self::OtherHost(_) => "allow-host",
            Self::Listener(_) => "own address",
            Self::Net(_) => "deny-net",
            Self::Embedding { form, .. } => form,
            Self::Range { range, .. } => range,
        }
    }
}
