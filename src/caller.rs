//! Callers, told from one another by their addresses.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Who makes a call: an address, or the process itself. All addresses of an IPv6
/// network of 64 bits count as one, since a single machine has that many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Caller(Option<IpAddr>);

impl Caller {
    /// The caller at `peer`. `None`: the process itself.
    pub(crate) fn at(peer: Option<SocketAddr>) -> Self {
        Self(peer.map(|peer| match peer.ip().to_canonical() {
            IpAddr::V6(address) => {
                let network = address.to_bits() >> 64 << 64;
                IpAddr::V6(Ipv6Addr::from_bits(network))
            }
            address @ IpAddr::V4(_) => address,
        }))
    }

    /// Returns true for the process itself.
    pub(crate) fn is_self(self) -> bool {
        self.0.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(address: &str) -> Caller {
        Caller::at(Some(SocketAddr::new(address.parse().unwrap(), 1)))
    }

    #[test]
    fn a_caller_is_an_address_or_a_network_of_ipv6() {
        assert_eq!(caller("::ffff:10.0.0.1"), caller("10.0.0.1"));
        assert_eq!(caller("2001:db8::1"), caller("2001:db8::ffff:2"));
        assert_ne!(caller("2001:db8::1"), caller("2001:db8:0:1::1"));
        assert_ne!(caller("127.0.0.1"), Caller::at(None));
    }
}
