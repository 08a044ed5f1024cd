//! Which addresses a fetch may reach: public unicast ones, and what the
//! operator allows besides. [`Policy`] decides and does nothing else; the
//! connector asks it right before it dials.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::config;

/// A decision over every address that would be dialled.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    allow_net: Vec<IpNet>,
}

/// An address that must not be reached, and the rule that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{address} is denied: {rule} (allowed with --allow-net)")]
pub(crate) struct Denied {
    /// The address, unwrapped where it was embedded in another.
    pub address: IpAddr,
    /// The name of the rule.
    pub rule: &'static str,
}

#[cfg(test)]
impl Policy {
    /// An address over which a policy under test panics.
    pub(crate) const FAULTY: IpAddr = IpAddr::V4(Ipv4Addr::new(240, 0, 0, 1));
}

impl Policy {
    /// The policy of `egress`.
    pub(crate) fn new(egress: &config::Egress) -> Self {
        Self {
            allow_net: egress.allow_net.clone(),
        }
    }

    /// Judges an address together with its port.
    pub(crate) fn judge(&self, address: SocketAddr) -> Result<(), Denied> {
        let address = unwrapped(address.ip());
        #[cfg(test)]
        assert_ne!(
            address,
            Self::FAULTY,
            "a fault for the tests of what a panic does"
        );
        if self.allow_net.iter().any(|net| net.contains(&address)) {
            return Ok(());
        }
        let rule = match address {
            IpAddr::V4(address) => denied_v4(address),
            IpAddr::V6(address) => denied_v6(address),
        };
        match rule {
            Some(rule) => Err(Denied { address, rule }),
            None => Ok(()),
        }
    }
}

/// The ranges of IPv4 that are not public unicast, by the IANA special-purpose
/// address registry (RFC 6890), and one address that belongs to a cloud's
/// platform though its range is public.
const DENIED_V4: [(Ipv4Net, &str); 16] = [
    (v4([0, 0, 0, 0], 8), "this network"),
    (v4([10, 0, 0, 0], 8), "private range"),
    (v4([100, 64, 0, 0], 10), "shared address space"),
    (v4([127, 0, 0, 0], 8), "loopback"),
    (v4([169, 254, 0, 0], 16), "link-local"),
    (v4([172, 16, 0, 0], 12), "private range"),
    (v4([192, 0, 0, 0], 24), "protocol assignments"),
    (v4([192, 0, 2, 0], 24), "documentation"),
    (v4([192, 88, 99, 0], 24), "6to4 relay"),
    (v4([192, 168, 0, 0], 16), "private range"),
    (v4([198, 18, 0, 0], 15), "benchmarking"),
    (v4([198, 51, 100, 0], 24), "documentation"),
    (v4([203, 0, 113, 0], 24), "documentation"),
    (v4([224, 0, 0, 0], 4), "multicast"),
    (v4([240, 0, 0, 0], 4), "reserved"),
    (v4([168, 63, 129, 16], 32), "cloud platform"),
];

/// What of IPv6 is unicast and public, but for the ranges below.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// The special ranges within [`GLOBAL_V6`].
const DENIED_V6: [(Ipv6Net, &str); 4] = [
    (v6([0x2001, 0, 0, 0], 23), "protocol assignments"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "documentation"),
    (v6([0x2002, 0, 0, 0], 16), "6to4"),
    (v6([0x3fff, 0, 0, 0], 20), "documentation"),
];

const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

fn denied_v4(address: Ipv4Addr) -> Option<&'static str> {
    let rule = DENIED_V4.iter().find(|(net, _)| net.contains(&address));
    rule.map(|(_, name)| *name)
}

fn denied_v6(address: Ipv6Addr) -> Option<&'static str> {
    if address.is_loopback() {
        return Some("loopback");
    }
    if !GLOBAL_V6.contains(&address) {
        return Some("not global unicast");
    }
    // ISATAP (RFC 5214, 6.1): an IPv4 address behind a marked interface id.
    let [.., high, low, _, _] = address.segments();
    if high & !0x0200 == 0 && low == 0x5efe {
        return Some("ISATAP");
    }
    let rule = DENIED_V6.iter().find(|(net, _)| net.contains(&address));
    rule.map(|(_, name)| *name)
}

/// The IPv4 address inside a mapped or translated one (RFC 4291, RFC 6052).
fn unwrapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) if NAT64.contains(&v6) => {
            let [.., a, b, c, d] = v6.octets();
            Ipv4Addr::new(a, b, c, d).into()
        }
        other => other.to_canonical(),
    }
}

const fn v4([a, b, c, d]: [u8; 4], prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), prefix)
}

const fn v6([a, b, c, d]: [u16; 4], prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0), prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(address: &str, allow: &[&str]) -> Result<(), Denied> {
        let allow_net = allow.iter().map(|net| net.parse().unwrap()).collect();
        let policy = Policy::new(&config::Egress { allow_net });
        policy.judge(SocketAddr::new(address.parse().unwrap(), 80))
    }

    #[test]
    fn public_unicast_addresses_are_allowed() {
        for address in [
            "1.1.1.1",
            "93.184.215.14",
            "223.255.255.255",
            "2606:4700::1111",
        ] {
            assert_eq!(judge(address, &[]), Ok(()), "{address}");
        }
        assert_eq!(judge("::ffff:1.1.1.1", &[]), Ok(()));
        assert_eq!(judge("64:ff9b::1.1.1.1", &[]), Ok(()));
    }

    #[test]
    fn everything_else_is_denied_by_a_named_rule() {
        for (address, rule) in [
            ("0.0.0.0", "this network"),
            ("10.1.2.3", "private range"),
            ("100.64.0.1", "shared address space"),
            ("127.0.0.1", "loopback"),
            ("169.254.169.254", "link-local"),
            ("168.63.129.16", "cloud platform"),
            ("224.0.0.1", "multicast"),
            ("255.255.255.255", "reserved"),
            ("::", "not global unicast"),
            ("::1", "loopback"),
            ("::127.0.0.1", "not global unicast"),
            ("::ffff:127.0.0.1", "loopback"),
            ("64:ff9b::10.0.0.1", "private range"),
            ("64:ff9b:1::1", "not global unicast"),
            ("2001::1", "protocol assignments"),
            ("2002:a00:1::", "6to4"),
            ("2606:4700::5efe:10.0.0.1", "ISATAP"),
            ("2606:4700::200:5efe:10.0.0.1", "ISATAP"),
            ("fd00:ec2::254", "not global unicast"),
            ("fe80::1", "not global unicast"),
            ("ff02::1", "not global unicast"),
        ] {
            assert_eq!(judge(address, &[]).unwrap_err().rule, rule, "{address}");
        }
    }

    #[test]
    fn an_allowed_network_opens_itself_alone() {
        assert_eq!(judge("127.0.0.1", &["127.0.0.0/8"]), Ok(()));
        assert_eq!(judge("::ffff:127.0.0.1", &["127.0.0.0/8"]), Ok(()));
        assert!(judge("10.0.0.1", &["127.0.0.0/8"]).is_err());
        assert!(judge("::1", &["127.0.0.0/8"]).is_err());
    }
}
