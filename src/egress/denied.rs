//! The reasons for denying a destination.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use super::ranges;

/// Why a destination is denied. There's one variant per rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Denied {
    /// The scheme is neither `http` nor `https`.
    #[error("the scheme is denied: expected http or https")]
    Scheme,
    /// `--allow-port` is set, but it doesn't include the port.
    #[error("port {0} is denied: --allow-port does not name it")]
    Port(u16),
    /// `--deny-host` includes the host.
    #[error("the host {0} is denied by --deny-host")]
    Host(String),
    /// `--allow-host` is set, but it doesn't include the host.
    #[error("the host {0} is denied: --allow-host does not name it")]
    OtherHost(String),
    /// The service itself listens on this address.
    #[error("the address {0} is denied: the service itself listens there")]
    Listener(SocketAddr),
    /// `--deny-net` includes the address.
    #[error("the address {0} is denied by --deny-net")]
    Net(IpAddr),
    /// There's an IPv4 address inside this address, and a gateway elsewhere would extract
    /// it.
    #[error("the address {address} is denied: it embeds an IPv4 address ({form})")]
    Embedding {
        /// The whole address.
        address: IpAddr,
        /// The name of this form of embedding.
        form: &'static str,
    },
    /// The address isn't public unicast, and `--allow-net` doesn't include it.
    #[error("the address {address} is denied: {range} (can be allowed with --allow-net)")]
    Range {
        /// The address. If it's an IPv4 address mapped into IPv6, this is the IPv4
        /// address.
        address: IpAddr,
        /// The name of the range.
        range: &'static str,
    },
}

impl Denied {
    /// Returns the rule's name. There's a fixed set of them, so it can be used as a
    /// label.
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

    /// Returns all names that [`Denied::rule`] may return.
    pub fn rules() -> BTreeSet<&'static str> {
        let of_settings = [
            "scheme",
            "allow-port",
            "deny-host",
            "allow-host",
            "own address",
            "deny-net",
        ];
        of_settings.into_iter().chain(ranges::names()).collect()
    }
}
