//! The rules that an operator sets.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::HostPattern;

/// The destinations that fetches may reach. By default these are the public unicast
/// addresses, with any name and on any port.
///
/// If an address matches several rules, the service's own addresses come first,
/// then `deny_net`, then `allow_net`, then the default. `deny_host` comes before
/// `allow_host`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// Networks that may be reached although the policy denies them. Default: none.
    pub allow_net: Vec<IpNet>,
    /// Networks that may never be reached. Default: none.
    pub deny_net: Vec<IpNet>,
    /// If not empty, the only hosts that URLs may name. The addresses that they
    /// resolve to are checked nevertheless. Default: empty.
    pub allow_host: Vec<HostPattern>,
    /// Hosts that URLs may not name. Default: none.
    pub deny_host: Vec<HostPattern>,
    /// If not empty, the only ports that may be reached. Default: empty.
    pub allow_port: Vec<u16>,
}

/// A network in [`Rules`] that would have no effect.
pub(crate) struct InvalidNetwork {
    /// The flag that sets the list with the network.
    pub(crate) flag: &'static str,
    /// The network.
    pub(crate) network: IpNet,
    /// Which networks are accepted.
    pub(crate) expected: String,
}

impl Rules {
    /// Rejects networks without effect: IPv4 networks inside IPv6, whose addresses
    /// are checked as IPv4, and networks that cannot be allowed.
    pub(crate) fn validate(&self) -> Result<(), InvalidNetwork> {
        let lists = [("allow-net", &self.allow_net), ("deny-net", &self.deny_net)];
        for (flag, networks) in lists {
            for network in networks {
                if let Some(inner) = embedded_ipv4(network) {
                    return Err(InvalidNetwork {
                        flag,
                        network: *network,
                        expected: format!("expected an IPv4 network; write {inner}"),
                    });
                }
            }
        }
        for network in &self.allow_net {
            if let Some((_, form)) = NEVER_ALLOWED.iter().find(|(net, _)| covers(net, network)) {
                return Err(InvalidNetwork {
                    flag: "allow-net",
                    network: *network,
                    expected: format!(
                        "expected a network that can be allowed; {form} addresses are always denied"
                    ),
                });
            }
        }
        Ok(())
    }
}

/// Networks whose addresses hold an IPv4 address that a gateway unpacks.
const NEVER_ALLOWED: [(Ipv6Net, &str); 2] = [
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
        "Teredo",
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
        "6to4",
    ),
];

fn covers(net: &Ipv6Net, network: &IpNet) -> bool {
    matches!(network, IpNet::V6(network) if net.contains(network))
}

/// Returns the IPv4 network that a network of mapped or translated addresses stands
/// for (RFC 4291, RFC 6052).
fn embedded_ipv4(network: &IpNet) -> Option<Ipv4Net> {
    let IpNet::V6(network) = network else {
        return None;
    };
    let prefix = network.prefix_len().checked_sub(96)?;
    let start = u128::from(network.network()) >> 32;
    let is_embedding = start == 0xffff || start == 0x0064_ff9b << 64;
    if !is_embedding {
        return None;
    }
    let [.., a, b, c, d] = network.network().octets();
    Ipv4Net::new(Ipv4Addr::new(a, b, c, d), prefix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowing(networks: &[&str]) -> Rules {
        let networks = networks.iter().map(|network| network.parse().unwrap());
        Rules {
            allow_net: networks.collect(),
            ..Rules::default()
        }
    }

    #[test]
    fn ipv4_network_inside_ipv6_is_rejected_with_the_network_to_write() {
        for (network, inner) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("64:ff9b::7f00:1/128", "127.0.0.1/32"),
            ("64:ff9b::/96", "0.0.0.0/0"),
        ] {
            let invalid = allowing(&[network]).validate().err().unwrap();
            let expected = format!("expected an IPv4 network; write {inner}");
            assert_eq!((invalid.flag, invalid.expected), ("allow-net", expected));
        }
    }

    #[test]
    fn network_that_cannot_be_allowed_is_rejected() {
        let invalid = allowing(&["2002:a00::/24"]).validate().err().unwrap();
        assert!(invalid.expected.contains("6to4 addresses"));
        let valid = allowing(&["::/0", "fd00::/8", "::1/128", "2001:db8::/96"]);
        assert!(valid.validate().is_ok());
    }
}
