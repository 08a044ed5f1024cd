//! Address ranges that aren't public unicast, and their names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{Ipv4Net, Ipv6Net};

/// Special IPv4 ranges. These come from the IANA special-purpose address registry
/// (RFC 6890). There's also a single address in a public range, which a cloud platform
/// uses for its own services.
const SPECIAL_V4: [(Ipv4Net, &str); 16] = [
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

/// The public unicast range of IPv6. There are special ranges within it, see
/// [`SPECIAL_V6`].
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0, 0, 0], 3);

/// Special IPv6 ranges: everything special inside of [`GLOBAL_V6`], as well as ranges
/// outside of it that have a name.
const SPECIAL_V6: [(Ipv6Net, &str); 12] = [
    (v6([0x2001, 0, 0, 0], 23), "protocol assignments"),
    (v6([0x2001, 0xdb8, 0, 0], 32), "documentation"),
    (v6([0x3fff, 0, 0, 0], 20), "documentation"),
    (
        Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128),
        "unspecified",
    ),
    (Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128), "loopback"),
    (v6([0x64, 0xff9b, 1, 0], 48), "local translation"),
    (v6([0x100, 0, 0, 0], 64), "discard only"),
    (v6([0x5f00, 0, 0, 0], 16), "segment routing"),
    (v6([0xfc00, 0, 0, 0], 7), "unique local"),
    (v6([0xfe80, 0, 0, 0], 10), "link-local"),
    (v6([0xfec0, 0, 0, 0], 10), "site-local"),
    (v6([0xff00, 0, 0, 0], 8), "multicast"),
];

/// IPv6 ranges with an embedded IPv4 address that a gateway somewhere else extracts. We
/// can't check where such a packet would end up.
const EMBEDDED: [(Ipv6Net, &str); 3] = [
    (v6([0, 0, 0, 0], 96), "IPv4-compatible"),
    (v6([0x2001, 0, 0, 0], 32), "Teredo"),
    (v6([0x2002, 0, 0, 0], 16), "6to4"),
];

/// Translators map IPv4 addresses to this prefix (RFC 6052).
const NAT64: Ipv6Net = v6([0x64, 0xff9b, 0, 0], 96);

/// The name of all addresses that are neither in [`GLOBAL_V6`] nor in [`SPECIAL_V6`].
const NOT_GLOBAL: &str = "not global unicast";

/// The form of embedding in RFC 5214.
const ISATAP: &str = "ISATAP";

/// Returns the names of all ranges and forms of embedding. Some come more than once.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    let v4 = SPECIAL_V4.iter().map(|(_, name)| *name);
    let v6 = SPECIAL_V6.iter().chain(&EMBEDDED).map(|(_, name)| *name);
    v4.chain(v6).chain([NOT_GLOBAL, ISATAP])
}

/// Returns the name of the special range that contains `address`, if any. Pass the
/// address through [`unwrapped`] first.
pub(super) fn special(address: IpAddr) -> Option<&'static str> {
    match address {
        IpAddr::V4(address) => {
            let mut ranges = SPECIAL_V4.iter();
            let (_, name) = ranges.find(|(net, _)| net.contains(&address))?;
            Some(name)
        }
        IpAddr::V6(address) => {
            let mut ranges = SPECIAL_V6.iter();
            match ranges.find(|(net, _)| net.contains(&address)) {
                Some((_, name)) => Some(name),
                None if GLOBAL_V6.contains(&address) => None,
                None => Some(NOT_GLOBAL),
            }
        }
    }
}

/// If `address` embeds an IPv4 address that a gateway elsewhere extracts, returns the
/// name of that form of embedding.
pub(super) fn embedding(address: IpAddr) -> Option<&'static str> {
    let IpAddr::V6(address) = address else {
        return None;
    };
    if address.is_loopback() || address.is_unspecified() {
        return None;
    }
    // ISATAP (RFC 5214, 6.1) can be in any network. It's only recognizable by the
    // interface identifier.
    let [.., high, low, _, _] = address.segments();
    if high & !0x0200 == 0 && low == 0x5efe {
        return Some(ISATAP);
    }
    let mut forms = EMBEDDED.iter();
    let (_, name) = forms.find(|(net, _)| net.contains(&address))?;
    Some(name)
}

/// If `address` is mapped or translated (RFC 4291, RFC 6052), returns the IPv4 address
/// inside. Any other address is returned unchanged.
pub(super) fn unwrapped(address: IpAddr) -> IpAddr {
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
