//! Identifies the callers of the service by address.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// The other end of a connection to a server.
///
/// All limits apply to every kind of peer. The server asks a peer to reconnect when the
/// connection reaches [`max_connection_age`](crate::config::Limits::max_connection_age),
/// when it has had no batch for 5 minutes, or when another caller needs its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Peer {
    /// A caller that's connected over TCP, with its address.
    Tcp(SocketAddr),
    /// The process itself, connected through an in-memory stream. It counts as a single
    /// caller.
    Local,
}

/// Who we count limits and shares for: either an address or the process itself.
///
/// All addresses in an IPv6 /64 count as one caller, since a single machine usually gets
/// a whole /64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Caller(Option<IpAddr>);

impl Peer {
    /// Returns the peer's address if it's connected over TCP.
    pub(crate) fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(address),
            Self::Local => None,
        }
    }
}

impl Caller {
    /// Returns the caller at `address`. Without an address, that's the process itself.
    pub(crate) fn at(address: Option<SocketAddr>) -> Self {
        Self(address.map(|address| match address.ip().to_canonical() {
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
            ip @ IpAddr::V4(_) => ip,
        }))
    }

    /// Returns true if this is the process itself.
    pub(crate) fn is_self(self) -> bool {
        self.0.is_none()
    }
}

impl From<Peer> for Caller {
    fn from(peer: Peer) -> Self {
        Self::at(peer.address())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(address: &str) -> Caller {
        Caller::at(Some(SocketAddr::new(address.parse().unwrap(), 1)))
    }

    #[test]
    fn caller_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(caller("::ffff:10.0.0.1"), caller("10.0.0.1"));
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:2"));
        assert_ne!(caller("2001:db8::1"), caller("2001:db8:0:1::1"));
        assert_ne!(caller("127.0.0.1"), Caller::from(Peer::Local));
    }
}
