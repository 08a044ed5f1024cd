//! Properties that must hold for any URL, any address and any DNS answer.
//!
//! Both the random tests and the fuzzer check them. The ranges are repeated here in a
//! different form on purpose: this way a mistake in one of the tables gets noticed.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    ops::RangeInclusive,
};

use http::Uri;

use super::{Host, Policy, Rules, Target};

/// IPv4 ranges that aren't public.
pub(super) const NOT_PUBLIC_V4: [RangeInclusive<[u8; 4]>; 15] = [
    [0, 0, 0, 0]..=[0, 255, 255, 255],
    [10, 0, 0, 0]..=[10, 255, 255, 255],
    [100, 64, 0, 0]..=[100, 127, 255, 255],
    [127, 0, 0, 0]..=[127, 255, 255, 255],
    [168, 63, 129, 16]..=[168, 63, 129, 16],
    [169, 254, 0, 0]..=[169, 254, 255, 255],
    [172, 16, 0, 0]..=[172, 31, 255, 255],
    [192, 0, 0, 0]..=[192, 0, 0, 255],
    [192, 0, 2, 0]..=[192, 0, 2, 255],
    [192, 88, 99, 0]..=[192, 88, 99, 255],
    [192, 168, 0, 0]..=[192, 168, 255, 255],
    [198, 18, 0, 0]..=[198, 19, 255, 255],
    [198, 51, 100, 0]..=[198, 51, 100, 255],
    [203, 0, 113, 0]..=[203, 0, 113, 255],
    [224, 0, 0, 0]..=[255, 255, 255, 255],
];

/// IPv6 ranges that are public. We only need the first 64 bits of an address to tell.
pub(super) const PUBLIC_V6: [RangeInclusive<u64>; 5] = [
    0x2000_0000_0000_0000..=0x2000_ffff_ffff_ffff,
    0x2001_0200_0000_0000..=0x2001_0db7_ffff_ffff,
    0x2001_0db9_0000_0000..=0x2001_ffff_ffff_ffff,
    0x2003_0000_0000_0000..=0x3ffe_ffff_ffff_ffff,
    0x3fff_1000_0000_0000..=0x3fff_ffff_ffff_ffff,
];

/// Returns true if the default policy has to allow `address`.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

/// Panics if the default policy denies a public address, or allows one that isn't.
pub fn address_is_allowed_if_and_only_if_it_is_public(address: IpAddr) {
    let policy = Policy::new(&Rules::default());
    let result = policy.check_address(SocketAddr::new(address, 80));
    assert_eq!(result.is_ok(), is_public(address), "{address}: {result:?}");
}

/// Panics if we would dial an address that isn't public. `answers` are the addresses that
/// the host of `uri` resolves to.
pub fn only_public_addresses_are_dialed(uri: &Uri, answers: &[IpAddr]) {
    let target = Target::of(uri);
    let policy = Policy::new(&Rules::default());
    if policy.check_target(&target).is_err() {
        return;
    }
    let addresses = match target.host {
        Host::Name(name) => {
            // Some proxies parse addresses as leniently as inet_aton(3) does. Make sure
            // that they wouldn't take this name for one.
            let last = name.rsplit('.').next().unwrap_or_default();
            let is_hex = |hex: &str| hex.bytes().all(|byte| byte.is_ascii_hexdigit());
            let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
                || last.strip_prefix("0x").is_some_and(is_hex);
            assert!(!is_number && !name.contains(".."), "{uri} names {name:?}");
            answers.iter().map(|ip| (*ip, target.port).into()).collect()
        }
        Host::Localhost(_) | Host::Address(_) => target.known_addresses().collect(),
    };
    for dialed in policy.allowed_addresses(addresses).unwrap_or_default() {
        assert!(is_public(dialed.ip()), "{uri} leads to {dialed}");
        assert_eq!(dialed.port(), target.port);
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let octets = address.octets();
    !NOT_PUBLIC_V4.iter().any(|range| range.contains(&octets))
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let bits = u128::from(address);
    #[allow(clippy::cast_possible_truncation)]
    let (high, low, last) = ((bits >> 64) as u64, bits as u64, bits as u32);
    // The last 32 bits of a mapped or translated address are an IPv4 address.
    if bits >> 32 == 0xffff || bits >> 32 == 0x64_ff9b << 64 {
        return is_public_v4(last.into());
    }
    let is_isatap = matches!(low >> 32, 0x0000_5efe | 0x0200_5efe);
    !is_isatap && PUBLIC_V6.iter().any(|range| range.contains(&high))
}
