//! Networks as the operator wrote them.

use ipnet::IpNet;

use super::list::Item;

/// A network, or a single address if there's no prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct Network {
    pub(in crate::cli) net: IpNet,
    has_prefix: bool,
}

impl Network {
    /// If the prefix is missing, but the address looks like that of a network, returns a
    /// network that the operator may have meant. For example, that's `10.0.0.0/8` for
    /// `10.0.0.0`.
    pub(in crate::cli) fn perhaps_meant(&self) -> Option<IpNet> {
        // Nobody should be told to open all networks.
        if self.has_prefix || self.net.addr().is_unspecified() {
            return None;
        }
        // The host part of an IPv6 network usually has 64 bits.
        let (zeros, least) = match self.net {
            IpNet::V4(net) => (trailing_zeros(&net.addr().octets()), 1),
            IpNet::V6(net) => (trailing_zeros(&net.addr().octets()), 8),
        };
        if zeros < least {
            return None;
        }
        let prefix = self.net.max_prefix_len() - 8 * zeros;
        IpNet::new(self.net.addr(), prefix).ok()
    }
}

impl Item for Network {
    const EXPECTED: &'static str = IpNet::EXPECTED;

    fn parse(text: &str) -> Option<Self> {
        Some(Self {
            net: Item::parse(text)?,
            has_prefix: text.contains('/'),
        })
    }
}

/// Counts the bytes at the end that are zero.
fn trailing_zeros(octets: &[u8]) -> u8 {
    let zeros = octets.iter().rev().take_while(|octet| **octet == 0);
    // There are 16 at most.
    zeros.fold(0, |count, _| count + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn perhaps_meant(text: &str) -> Option<String> {
        let network = Network::parse(text).unwrap();
        network.perhaps_meant().map(|net| net.to_string())
    }

    #[test]
    fn an_address_with_an_empty_host_part_may_be_a_network() {
        for (text, network) in [
            ("10.0.0.0", "10.0.0.0/8"),
            ("192.168.0.0", "192.168.0.0/16"),
            ("192.0.2.0", "192.0.2.0/24"),
            ("fd00::", "fd00::/8"),
            ("2001:db8::", "2001:db8::/32"),
            ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ] {
            assert_eq!(perhaps_meant(text).as_deref(), Some(network));
        }
    }

    #[test]
    fn other_addresses_and_networks_with_a_prefix_are_meant_as_written() {
        for text in [
            "10.0.0.1",
            "10.0.0.0/32",
            "10.0.0.0/8",
            "2001:db8::1:0",
            "::1",
            "fd00::/128",
        ] {
            assert_eq!(perhaps_meant(text), None, "{text}");
        }
    }
}
