//! Identifies the callers of the service.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
};

use aws_lc_rs::digest;

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

/// Who we count limits and shares for.
///
/// A caller is either known by a name or by its address. All addresses in an IPv6 /64
/// count as one caller, since a single machine usually gets a whole /64.
///
/// This is a key, so that it's cheap to copy and to compare. The name isn't in here; see
/// [`Identity`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Caller {
    kind: Kind,
    /// The address, or a digest of the name.
    key: u128,
}

/// What we know a caller by. Callers of different kinds are never the same, even if their
/// names are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Kind {
    Local,
    Address,
    Certificate,
    Token,
}

/// A caller along with its name.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) caller: Caller,
    name: Name,
}

#[derive(Debug, Clone)]
enum Name {
    /// The process itself has no name.
    None,
    Address(IpAddr),
    Given(Arc<str>),
}

/// The maximum length of a name in a certificate, in bytes. It's that of a SPIFFE ID.
const MAX_NAME: usize = 2048;

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
        match address.map(|address| address.ip()) {
            Some(ip) => Self {
                kind: Kind::Address,
                key: address_bits(ip),
            },
            None => Self {
                kind: Kind::Local,
                key: 0,
            },
        }
    }

    fn named(kind: Kind, name: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, name.as_bytes());
        let bytes = digest.as_ref().first_chunk();
        let key = u128::from_be_bytes(*bytes.expect("a SHA-256 digest has 32 bytes"));
        Self { kind, key }
    }

    /// Returns true if this is the process itself.
    pub(crate) fn is_self(self) -> bool {
        self.kind == Kind::Local
    }
}

/// Returns the bits of an IPv4 address (in its IPv6 form), or of an IPv6 network.
fn address_bits(ip: IpAddr) -> u128 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
    }
}

impl Identity {
    /// Returns the identity of a caller whose token has this name.
    pub(crate) fn from_token(name: &Arc<str>) -> Self {
        Self {
            caller: Caller::named(Kind::Token, name),
            name: Name::Given(Arc::clone(name)),
        }
    }

    /// Returns the identity of a caller whose certificate has this name. Returns `None` if
    /// the name isn't fit for a log line.
    pub(crate) fn from_certificate(name: &str) -> Option<Self> {
        let is_fit = name.len() <= MAX_NAME && name.bytes().all(|byte| byte.is_ascii_graphic());
        is_fit.then(|| Self {
            caller: Caller::named(Kind::Certificate, name),
            name: Name::Given(name.into()),
        })
    }

    /// Returns the name of the caller's token, or `None` if it has no token.
    pub(crate) fn token_name(&self) -> Option<&str> {
        match &self.name {
            Name::Given(name) if self.caller.kind == Kind::Token => Some(name),
            _ => None,
        }
    }

    /// Returns true if this is the process itself.
    pub(crate) fn is_self(&self) -> bool {
        self.caller.is_self()
    }
}

impl From<Peer> for Caller {
    fn from(peer: Peer) -> Self {
        Self::at(peer.address())
    }
}

impl From<Peer> for Identity {
    fn from(peer: Peer) -> Self {
        let name = match peer {
            Peer::Tcp(address) => Name::Address(address.ip().to_canonical()),
            Peer::Local => Name::None,
        };
        Self {
            caller: peer.into(),
            name,
        }
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Name::None => f.write_str("the process itself"),
            Name::Address(IpAddr::V4(ip)) => write!(f, "{ip}"),
            Name::Address(IpAddr::V6(ip)) => {
                write!(f, "{}/64", Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64))
            }
            Name::Given(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 1)
    }

    fn caller(text: &str) -> Caller {
        Caller::at(Some(address(text)))
    }

    #[test]
    fn caller_is_an_ipv4_address_or_an_ipv6_network() {
        assert_eq!(caller("::ffff:10.0.0.1"), caller("10.0.0.1"));
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:2"));
        assert_ne!(caller("2001:db8::1"), caller("2001:db8:0:1::1"));
        assert_ne!(caller("127.0.0.1"), Caller::from(Peer::Local));
    }

    #[test]
    fn caller_with_a_name_is_told_apart_by_its_kind_too() {
        let token = Identity::from_token(&"10.0.0.1".into());
        let certificate = Identity::from_certificate("10.0.0.1").unwrap();
        let peer = Identity::from(Peer::Tcp(address("10.0.0.1")));
        for (one, other) in [
            (&token, &certificate),
            (&certificate, &peer),
            (&peer, &token),
        ] {
            assert_ne!(one.caller, other.caller);
            assert_eq!(one.to_string(), other.to_string());
        }
        assert_eq!(token.token_name(), Some("10.0.0.1"));
        assert_eq!(certificate.token_name(), None);
        let again = Identity::from_token(&"10.0.0.1".into());
        assert_eq!(token.caller, again.caller);
    }

    #[test]
    fn names_are_fit_for_a_log_line() {
        let network = Identity::from(Peer::Tcp(address("2001:db8:0:1:2::3")));
        assert_eq!(network.to_string(), "2001:db8:0:1::/64");
        let mapped = Identity::from(Peer::Tcp(address("::ffff:10.0.0.1")));
        assert_eq!(mapped.to_string(), "10.0.0.1");
        for name in ["spiffe://a/b c", "spiffe://a/\nb", "spiffe://ä"] {
            assert!(Identity::from_certificate(name).is_none(), "{name}");
        }
    }
}
