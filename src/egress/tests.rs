use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;
use proptest::prelude::*;

use super::{
    property::{
        NOT_PUBLIC_V4, PUBLIC_V6, an_address_is_allowed_exactly_if_it_is_public, is_public,
        only_public_addresses_are_dialled,
    },
    *,
};
use crate::request::Request;

fn list<T: std::str::FromStr<Err: fmt::Debug>>(items: &[&str]) -> Vec<T> {
    items.iter().map(|item| item.parse().unwrap()).collect()
}

fn networks(allow: &[&str], deny: &[&str]) -> Policy {
    Policy::new(&Rules {
        allow_net: list(allow),
        deny_net: list(deny),
        ..Rules::default()
    })
}

fn judge(policy: &Policy, address: &str) -> Result<(), Denied> {
    policy.judge(SocketAddr::new(address.parse().unwrap(), 80))
}

/// The decision over what needs no look-up.
fn judge_url(policy: &Policy, url: &'static str) -> Result<(), Denied> {
    policy.judge_target(&Target::of(&Uri::from_static(url)))
}

#[test]
fn what_is_not_public_is_denied_by_a_named_rule() {
    let policy = networks(&[], &[]);
    for (address, rule) in [
        ("0.0.0.0", "loopback"),
        ("0.1.2.3", "this network"),
        ("10.1.2.3", "private range"),
        ("100.64.0.1", "shared address space"),
        ("127.0.0.1", "loopback"),
        ("169.254.169.254", "link-local"),
        ("168.63.129.16", "cloud platform"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "reserved"),
        ("::", "loopback"),
        ("::1", "loopback"),
        ("::2", "IPv4-compatible"),
        ("::127.0.0.1", "IPv4-compatible"),
        ("::ffff:127.0.0.1", "loopback"),
        ("::ffff:0:127.0.0.1", "not global unicast"),
        ("64:ff9b::10.0.0.1", "private range"),
        ("64:ff9b:1::1", "local translation"),
        ("2001::1", "Teredo"),
        ("2001:100::1", "protocol assignments"),
        ("2002:a00:1::", "6to4"),
        ("2606:4700::5efe:10.0.0.1", "ISATAP"),
        ("2606:4700::200:5efe:10.0.0.1", "ISATAP"),
        ("fd00:ec2::254", "unique local"),
        ("fe80::1", "link-local"),
        ("ff02::1", "multicast"),
    ] {
        let denied = judge(&policy, address).unwrap_err().to_string();
        assert!(denied.contains(rule), "{address}: {denied}");
    }
}

#[test]
fn an_allowed_network_opens_itself_alone() {
    let policy = networks(&["127.0.0.0/8"], &[]);
    assert_eq!(judge(&policy, "127.0.0.1"), Ok(()));
    assert_eq!(judge(&policy, "::ffff:127.0.0.1"), Ok(()));
    for other in ["10.0.0.1", "::1", "::127.0.0.1", "126.255.255.255"] {
        let is_open = judge(&policy, other).is_ok();
        assert_eq!(is_open, is_public(other.parse().unwrap()), "{other}");
    }
    // All of IPv6 is not the IPv4 inside it.
    let policy = networks(&["::/0"], &[]);
    assert_eq!(judge(&policy, "fd00::1"), Ok(()));
    assert!(judge(&policy, "::ffff:127.0.0.1").is_err());
    assert!(judge(&policy, "64:ff9b::127.0.0.1").is_err());
}

#[test]
fn what_is_unpacked_elsewhere_is_denied_whatever_is_allowed() {
    let policy = networks(&["0.0.0.0/0", "::/0"], &[]);
    for address in [
        "::127.0.0.1",
        "2001::1",
        "2002:7f00:1::",
        "fd00::5efe:127.0.0.1",
        "2606:4700::200:5efe:127.0.0.1",
    ] {
        let denied = judge(&policy, address).unwrap_err();
        assert!(matches!(denied, Denied::Embedding { .. }), "{address}");
    }
    assert_eq!(judge(&policy, "::1"), Ok(()));
}

#[test]
fn a_denied_network_is_stronger_than_an_allowed_one() {
    let policy = networks(&["10.0.0.0/8"], &["10.1.0.0/16", "1.1.1.0/24", "2606::/16"]);
    assert_eq!(judge(&policy, "10.2.0.1"), Ok(()));
    for address in [
        "10.1.0.1",
        "::ffff:10.1.0.1",
        "64:ff9b::10.1.0.1",
        "1.1.1.1",
        "2606:4700::1",
    ] {
        let denied = judge(&policy, address).unwrap_err();
        assert!(matches!(denied, Denied::Net(_)), "{address}: {denied}");
    }
    // A network of IPv6 also denies the IPv4 inside it.
    let policy = networks(&[], &["::/0"]);
    assert!(judge(&policy, "64:ff9b::1.1.1.1").is_err());
    assert_eq!(judge(&policy, "1.1.1.1"), Ok(()));
}

#[test]
fn the_unspecified_address_is_the_machine() {
    let everything = ["0.0.0.0/0", "::/0"];
    let policy = networks(&everything, &["127.0.0.0/8", "::1/128"]);
    for address in ["0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::"] {
        let denied = judge(&policy, address).unwrap_err();
        assert!(matches!(denied, Denied::Net(_)), "{address}: {denied}");
    }
    assert_eq!(judge(&networks(&everything, &[]), "0.0.0.0"), Ok(()));
    assert!(judge(&networks(&["0.0.0.0/8"], &[]), "0.0.0.0").is_err());
}

#[test]
fn hosts_and_ports_are_judged_before_a_look_up() {
    let policy = Policy::new(&Rules {
        allow_host: list(&["*.example.com", "1.1.1.1", "localhost"]),
        deny_host: list(&["secret.example.com", "*.secret.example.com"]),
        allow_port: vec![80, 8443],
        allow_net: list(&["127.0.0.0/8"]),
        ..Rules::default()
    });
    for url in [
        "http://api.example.com/",
        "http://api.example.com./",
        "https://a.b.example.com:8443/",
        "http://1.1.1.1/",
        "http://[::ffff:1.1.1.1]/",
        "http://localhost/",
    ] {
        assert_eq!(judge_url(&policy, url), Ok(()), "{url}");
    }
    for (url, message) in [
        (
            "http://secret.example.com/",
            "the host secret.example.com is denied by --deny-host",
        ),
        (
            "http://a.secret.example.com/",
            "the host a.secret.example.com is denied by --deny-host",
        ),
        (
            "http://example.com/",
            "the host example.com is denied: --allow-host does not name it",
        ),
        (
            "http://8.8.8.8/",
            "the host 8.8.8.8 is denied: --allow-host does not name it",
        ),
        (
            "https://api.example.com/",
            "port 443 is denied: --allow-port does not name it",
        ),
    ] {
        assert_eq!(judge_url(&policy, url).unwrap_err().to_string(), message);
    }
}

#[test]
fn localhost_is_loopback() {
    let policy = networks(&[], &[]);
    for url in [
        "http://localhost/",
        "http://localhost./",
        "http://a.localhost/",
        "http://LOCALHOST/",
    ] {
        let denied = judge_url(&policy, url).unwrap_err().to_string();
        assert!(denied.contains("loopback"), "{url}: {denied}");
    }
    assert_eq!(judge_url(&policy, "http://localhost.example/"), Ok(()));
    let policy = networks(&["127.0.0.0/8"], &[]);
    assert_eq!(judge_url(&policy, "http://localhost/"), Ok(()));
}

#[test]
fn the_own_addresses_are_denied_whatever_is_allowed() {
    let all = ["0.0.0.0/0", "::/0"];
    let own = |policy: &Policy, address: &str| {
        let judged = policy.judge(address.parse().unwrap());
        matches!(judged, Err(Denied::Own(_)))
    };
    let policy = networks(&all, &[]);
    policy.deny_own("10.0.0.5:50051".parse().unwrap(), |_| unreachable!());
    for address in [
        "10.0.0.5:50051",
        "[::ffff:10.0.0.5]:50051",
        "[64:ff9b::10.0.0.5]:50051",
        "0.0.0.0:50051",
        "[::]:50051",
    ] {
        assert!(own(&policy, address), "{address}");
    }
    for address in ["10.0.0.5:50052", "10.0.0.6:50051", "1.1.1.1:50051"] {
        assert!(!own(&policy, address), "{address}");
    }

    // Another policy that is the same, and every address of the machine.
    let policy = networks(&all, &[]);
    policy
        .clone()
        .deny_own("[::]:50051".parse().unwrap(), |address| {
            address.is_loopback()
        });
    for address in ["127.0.0.1:50051", "127.1.2.3:50051", "[::1]:50051"] {
        assert!(own(&policy, address), "{address}");
    }
    for address in ["127.0.0.1:80", "10.0.0.5:50051", "1.1.1.1:50051"] {
        assert!(!own(&policy, address), "{address}");
    }
}

#[test]
fn what_is_beside_a_range_is_allowed() {
    let last = Ipv6Addr::from(u128::MAX);
    for (first, last) in NOT_PUBLIC_V4 {
        let [first, last] = [first, last].map(|edge| u32::from(Ipv4Addr::from(edge)));
        for edge in [first, last] {
            assert!(!is_public(Ipv4Addr::from(edge).into()));
        }
        for near in [first.wrapping_sub(1), first, last, last.wrapping_add(1)] {
            an_address_is_allowed_exactly_if_it_is_public(Ipv4Addr::from(near).into());
        }
    }
    for (first, end) in PUBLIC_V6 {
        let first = u128::from(first) << 64;
        let end = u128::from(end) << 64 | u128::from(u64::MAX);
        assert!(is_public(Ipv6Addr::from(first).into()) && is_public(Ipv6Addr::from(end).into()));
        for near in [first - 1, first, end, end + 1] {
            an_address_is_allowed_exactly_if_it_is_public(Ipv6Addr::from(near).into());
        }
    }
    an_address_is_allowed_exactly_if_it_is_public(last.into());
}

#[test]
fn judging_allocates_nothing() {
    let policy = networks(&["10.0.0.0/8"], &["1.1.1.0/24"]);
    policy.deny_own("10.0.0.5:50051".parse().unwrap(), |_| false);
    let judged = [
        "10.0.0.1:80",
        "1.1.1.1:80",
        "8.8.8.8:80",
        "[2606:4700::1]:80",
    ];
    let judged = judged.map(|address| address.parse::<SocketAddr>().unwrap());
    let literal = Uri::from_static("http://8.8.8.8/path");
    let addresses = judged.to_vec();
    let allocated = allocation_counter::measure(|| {
        assert!(policy.judge(judged[0]).is_ok() && policy.judge(judged[1]).is_err());
        assert!(policy.judge_target(&Target::of(&literal)).is_ok());
        assert_eq!(
            policy.allowed(addresses).map(|allowed| allowed.len()),
            Ok(3)
        );
    });
    assert_eq!(allocated.count_total, 0);
}

/// Addresses, many of which are in, or near, a range that matters.
fn addresses() -> impl Strategy<Value = IpAddr> {
    let starts = [
        0x2000_u128 << 112,
        0x2001 << 112,
        0x2001_0db8 << 96,
        0x2002 << 112,
        0x3fff << 112,
        0x64_ff9b << 96,
        0x64_ff9b_0001 << 80,
        0xfc00 << 112,
        0xfe80 << 112,
        0xffff << 32,
        0xffff << 48,
        0,
    ];
    let near = (
        prop::sample::select(starts.to_vec()),
        any::<u128>(),
        0..128_u32,
    );
    let isatap = (any::<u64>(), prop::bool::ANY, any::<u32>());
    prop_oneof![
        any::<u32>().prop_map(|bits| Ipv4Addr::from(bits).into()),
        any::<u128>().prop_map(|bits| Ipv6Addr::from(bits).into()),
        near.prop_map(|(start, bits, kept)| Ipv6Addr::from(start | bits >> kept).into()),
        isatap.prop_map(|(net, global, inner)| {
            let id = if global { 0x0200_5efe_u64 } else { 0x5efe };
            let low = id << 32 | u64::from(inner);
            Ipv6Addr::from(u128::from(net) << 64 | u128::from(low)).into()
        }),
    ]
}

/// An address in one of the spellings that URL parsers know.
fn spellings() -> impl Strategy<Value = (Ipv4Addr, String)> {
    let one = |part: u32, style: u8| match style {
        0 => part.to_string(),
        1 => format!("0{part:o}"),
        2 => format!("0x{part:X}"),
        3 => format!("0x0000{part:x}"),
        _ => {
            let digits = part.to_string().into_bytes();
            let wide = digits
                .into_iter()
                .map(|digit| 0xff10 + u32::from(digit - b'0'));
            wide.filter_map(char::from_u32).collect()
        }
    };
    let styles = prop::array::uniform4(0..5_u8);
    (any::<u32>(), 1..=4_usize, styles, prop::bool::ANY).prop_map(
        move |(bits, count, styles, dot)| {
            let mut rest = u64::from(bits) << 32;
            let mut parts = Vec::new();
            for style in &styles[1..count] {
                parts.push(one(u32::try_from(rest >> 56).unwrap(), *style));
                rest <<= 8;
            }
            let left = 8 * (5 - u32::try_from(count).unwrap());
            parts.push(one(u32::try_from(rest >> (64 - left)).unwrap(), styles[0]));
            let text = parts.join(".") + if dot { "." } else { "" };
            (bits.into(), text)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 10_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn an_address_is_denied_exactly_if_it_is_special(address in addresses()) {
        an_address_is_allowed_exactly_if_it_is_public(address);
    }

    #[test]
    fn any_string_is_refused_or_leads_to_public_addresses(
        text in any::<String>(),
        answers in prop::collection::vec(addresses(), 0..6),
    ) {
        only_public_addresses_are_dialled(&text, &answers);
        only_public_addresses_are_dialled(&format!("http://{text}"), &answers);
        only_public_addresses_are_dialled(&format!("https://{text}/"), &answers);
    }

    #[test]
    fn any_host_is_refused_or_leads_to_public_addresses(
        host in "([0-9a-fxA-FX.:%@\\[\\]\\\\/#?-]|localhost|127|::|ffff|[０-９。]){1,24}",
        answers in prop::collection::vec(addresses(), 0..6),
    ) {
        only_public_addresses_are_dialled(&format!("http://{host}"), &answers);
        only_public_addresses_are_dialled(&format!("http://1.1.1.1@{host}:80/"), &answers);
    }

    #[test]
    fn an_address_is_judged_the_same_in_every_spelling((address, text) in spellings()) {
        let url = format!("http://{text}/");
        let request = Request::new(&url, "").unwrap();
        let target = Target::of(&request.uri);
        prop_assert_eq!(target.host, Host::Address(address.into()), "{}", url);
        let policy = networks(&[], &[]);
        prop_assert_eq!(policy.judge_target(&target).is_ok(), is_public(address.into()));
    }

    #[test]
    fn an_ipv6_address_is_judged_as_it_is_written(bits in any::<u128>(), upper in any::<bool>()) {
        let address = Ipv6Addr::from(bits);
        let text = if upper { address.to_string().to_uppercase() } else { address.to_string() };
        let request = Request::new(&format!("http://[{text}]/"), "").unwrap();
        prop_assert_eq!(Target::of(&request.uri).host, Host::Address(address.into()));
    }
}
