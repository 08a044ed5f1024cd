//! The operator's rules.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use serde::{Serialize, Serializer};

use super::HostPattern;

/// Which destinations may be fetched. By default, that's all public unicast addresses, by
/// any name and on any port.
///
/// If several rules match an address, the first one of these wins: the service's own
/// addresses, `deny_net`, `allow_net`, and then the default. For names, `deny_host` takes
/// precedence over `allow_host`.
///
/// They can be serialized, for people to read: networks and hosts are texts, as in the flags.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rules {
    /// Networks to allow even though they're denied by default. Default: none.
    #[serde(serialize_with = "as_networks")]
    pub allow_net: Vec<IpNet>,
    /// Networks to deny. Default: none.
    #[serde(serialize_with = "as_networks")]
    pub deny_net: Vec<IpNet>,
    /// If this isn't empty, then only these hosts are allowed in URLs. Note that we still
    /// check the addresses they resolve to. Default: empty.
    #[serde(serialize_with = "as_texts")]
    pub allow_host: Vec<HostPattern>,
    /// Hosts that aren't allowed in URLs. Default: none.
    #[serde(serialize_with = "as_texts")]
    pub deny_host: Vec<HostPattern>,
    /// If this isn't empty, then only these ports are allowed. Default: empty.
    pub allow_port: Vec<u16>,
}

/// A network in [`Rules`] that wouldn't have any effect.
pub(crate) struct InvalidNetwork {
    /// The flag for the list that contains the network.
    pub(crate) flag: &'static str,
    pub(crate) network: IpNet,
    /// Describes which networks are accepted.
    pub(crate) expected: String,
}

impl Rules {
    /// Rejects networks that wouldn't have any effect. These are IPv4 networks written as
    /// IPv6 (we check their addresses as IPv4, so the operator has to write them that
    /// way), and networks that can't be allowed.
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

/// Writes networks without the bits beyond their prefixes, as they're applied.
fn as_networks<S: Serializer>(networks: &[IpNet], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(networks.iter().map(|network| network.trunc().to_string()))
}

fn as_texts<T: ToString, S: Serializer>(items: &[T], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(items.iter().map(T::to_string))
}

/// All addresses in these networks contain an IPv4 address that some gateway unpacks.
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

/// For a network of mapped or translated addresses (RFC 4291, RFC 6052), returns the
/// corresponding IPv4 network.
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
    fn networks_are_written_as_they_are_applied() {
        let rules = allowing(&["10.1.2.3/8", "fd00:1::2/16"]);
        let json = serde_json::to_value(rules).unwrap();
        assert_eq!(
            json["allow_net"],
            serde_json::json!(["10.0.0.0/8", "fd00::/16"])
        );
    }

    #[test]
    fn network_that_cannot_be_allowed_is_rejected() {
        let invalid = allowing(&["2002:a00::/24"]).validate().err().unwrap();
        assert!(invalid.expected.contains("6to4 addresses"));
        let valid = allowing(&["::/0", "fd00::/8", "::1/128", "2001:db8::/96"]);
        assert!(valid.validate().is_ok());
    }
}
