//! Policy tests: tables of addresses and URLs, along with the expected decision.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::Uri;

use super::{
    property::{
        NOT_PUBLIC_V4, PUBLIC_V6, address_is_allowed_if_and_only_if_it_is_public, is_public,
    },
    *,
};

fn list<T: std::str::FromStr<Err: fmt::Debug>>(items: &[&str]) -> Vec<T> {
    items.iter().map(|item| item.parse().unwrap()).collect()
}

fn policy_with(allow: &[&str], deny: &[&str]) -> Policy {
    Policy::new(&Rules {
        allow_net: list(allow),
        deny_net: list(deny),
        ..Rules::default()
    })
}

fn check(policy: &Policy, address: &str) -> Result<(), Denied> {
    policy.check_address(SocketAddr::new(address.parse().unwrap(), 80))
}

/// Checks a URL as far as that's possible without a DNS lookup.
fn check_url(policy: &Policy, url: &'static str) -> Result<(), Denied> {
    policy.check_target(&Target::of(&Uri::from_static(url)))
}

#[test]
fn addresses_that_are_not_public_are_denied_by_a_named_rule() {
    let policy = policy_with(&[], &[]);
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
        let denied = check(&policy, address).unwrap_err();
        assert_eq!(denied.rule(), rule, "{address}");
        assert!(denied.to_string().contains(rule), "{address}: {denied}");
        assert!(Denied::rules().contains(rule), "{address}");
    }
}

#[test]
fn allowed_network_allows_nothing_else() {
    let policy = policy_with(&["127.0.0.0/8"], &[]);
    assert_eq!(check(&policy, "127.0.0.1"), Ok(()));
    assert_eq!(check(&policy, "::ffff:127.0.0.1"), Ok(()));
    for other in ["10.0.0.1", "::1", "::127.0.0.1", "126.255.255.255"] {
        let is_open = check(&policy, other).is_ok();
        assert_eq!(is_open, is_public(other.parse().unwrap()), "{other}");
    }
    // An IPv6 network doesn't allow the IPv4 addresses that are mapped into it.
    let policy = policy_with(&["::/0"], &[]);
    assert_eq!(check(&policy, "fd00::1"), Ok(()));
    assert!(check(&policy, "::ffff:127.0.0.1").is_err());
    assert!(check(&policy, "64:ff9b::127.0.0.1").is_err());
}

#[test]
fn embedded_ipv4_is_denied_regardless_of_allowed_networks() {
    let policy = policy_with(&["0.0.0.0/0", "::/0"], &[]);
    for address in [
        "::127.0.0.1",
        "2001::1",
        "2002:7f00:1::",
        "fd00::5efe:127.0.0.1",
        "2606:4700::200:5efe:127.0.0.1",
    ] {
        let denied = check(&policy, address).unwrap_err();
        assert!(matches!(denied, Denied::Embedding { .. }), "{address}");
    }
    assert_eq!(check(&policy, "::1"), Ok(()));
}

#[test]
fn denied_networks_take_precedence_over_allowed_ones() {
    let policy = policy_with(&["10.0.0.0/8"], &["10.1.0.0/16", "1.1.1.0/24", "2606::/16"]);
    assert_eq!(check(&policy, "10.2.0.1"), Ok(()));
    for address in [
        "10.1.0.1",
        "::ffff:10.1.0.1",
        "64:ff9b::10.1.0.1",
        "1.1.1.1",
        "2606:4700::1",
    ] {
        let denied = check(&policy, address).unwrap_err();
        assert!(matches!(denied, Denied::Net(_)), "{address}: {denied}");
    }
    // If an IPv6 network is denied, so are the IPv4 addresses that are mapped into it.
    let policy = policy_with(&[], &["::/0"]);
    assert!(check(&policy, "64:ff9b::1.1.1.1").is_err());
    assert_eq!(check(&policy, "1.1.1.1"), Ok(()));
}

#[test]
fn unspecified_address_counts_as_loopback() {
    let everything = ["0.0.0.0/0", "::/0"];
    let policy = policy_with(&everything, &["127.0.0.0/8", "::1/128"]);
    for address in ["0.0.0.0", "::", "::ffff:0.0.0.0", "64:ff9b::"] {
        let denied = check(&policy, address).unwrap_err();
        assert!(matches!(denied, Denied::Net(_)), "{address}: {denied}");
    }
    assert_eq!(check(&policy_with(&everything, &[]), "0.0.0.0"), Ok(()));
    assert!(check(&policy_with(&["0.0.0.0/8"], &[]), "0.0.0.0").is_err());
}

#[test]
fn hosts_and_ports_are_checked_before_the_lookup() {
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
        assert_eq!(check_url(&policy, url), Ok(()), "{url}");
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
        assert_eq!(check_url(&policy, url).unwrap_err().to_string(), message);
    }
}

#[test]
fn localhost_counts_as_loopback() {
    let policy = policy_with(&[], &[]);
    for url in [
        "http://localhost/",
        "http://localhost./",
        "http://a.localhost/",
        "http://LOCALHOST/",
    ] {
        let denied = check_url(&policy, url).unwrap_err().to_string();
        assert!(denied.contains("loopback"), "{url}: {denied}");
    }
    assert_eq!(check_url(&policy, "http://localhost.example/"), Ok(()));
    let policy = policy_with(&["127.0.0.0/8"], &[]);
    assert_eq!(check_url(&policy, "http://localhost/"), Ok(()));
}

#[test]
fn listeners_are_denied_regardless_of_allowed_networks() {
    let all = ["0.0.0.0/0", "::/0"];
    let is_listener = |policy: &Policy, address: &str| {
        let result = policy.check_address(address.parse().unwrap());
        matches!(result, Err(Denied::Listener(_)))
    };
    let policy = policy_with(&all, &[]);
    policy.deny_listener("10.0.0.5:50051".parse().unwrap(), |_| unreachable!());
    for address in [
        "10.0.0.5:50051",
        "[::ffff:10.0.0.5]:50051",
        "[64:ff9b::10.0.0.5]:50051",
        "0.0.0.0:50051",
        "[::]:50051",
    ] {
        assert!(is_listener(&policy, address), "{address}");
    }
    for address in ["10.0.0.5:50052", "10.0.0.6:50051", "1.1.1.1:50051"] {
        assert!(!is_listener(&policy, address), "{address}");
    }

    // All clones share their listeners. An unspecified address means all of the machine's
    // addresses.
    let policy = policy_with(&all, &[]);
    policy
        .clone()
        .deny_listener("[::]:50051".parse().unwrap(), |address| {
            address.is_loopback()
        });
    for address in ["127.0.0.1:50051", "127.1.2.3:50051", "[::1]:50051"] {
        assert!(is_listener(&policy, address), "{address}");
    }
    for address in ["127.0.0.1:80", "10.0.0.5:50051", "1.1.1.1:50051"] {
        assert!(!is_listener(&policy, address), "{address}");
    }
}

#[test]
fn ranges_end_exactly_at_their_edges() {
    for range in NOT_PUBLIC_V4 {
        let [first, last] =
            [range.start(), range.end()].map(|edge| u32::from(Ipv4Addr::from(*edge)));
        for edge in [first, last] {
            assert!(!is_public(Ipv4Addr::from(edge).into()));
        }
        for near in [first.wrapping_sub(1), first, last, last.wrapping_add(1)] {
            address_is_allowed_if_and_only_if_it_is_public(Ipv4Addr::from(near).into());
        }
    }
    for range in PUBLIC_V6 {
        let first = u128::from(*range.start()) << 64;
        let last = u128::from(*range.end()) << 64 | u128::from(u64::MAX);
        assert!(is_public(Ipv6Addr::from(first).into()) && is_public(Ipv6Addr::from(last).into()));
        for near in [first - 1, first, last, last + 1] {
            address_is_allowed_if_and_only_if_it_is_public(Ipv6Addr::from(near).into());
        }
    }
    address_is_allowed_if_and_only_if_it_is_public(Ipv6Addr::from(u128::MAX).into());
}

#[test]
fn checks_do_not_allocate() {
    let policy = policy_with(&["10.0.0.0/8"], &["1.1.1.0/24"]);
    policy.deny_listener("10.0.0.5:50051".parse().unwrap(), |_| false);
    let addresses = [
        "10.0.0.1:80",
        "1.1.1.1:80",
        "8.8.8.8:80",
        "[2606:4700::1]:80",
    ]
    .map(|address| address.parse::<SocketAddr>().unwrap());
    let literal = Uri::from_static("http://8.8.8.8/path");
    let list = addresses.to_vec();
    let allocated = allocation_counter::measure(|| {
        assert!(
            policy.check_address(addresses[0]).is_ok()
                && policy.check_address(addresses[1]).is_err()
        );
        assert!(policy.check_target(&Target::of(&literal)).is_ok());
        assert_eq!(
            policy.allowed_addresses(list).map(|allowed| allowed.len()),
            Ok(3)
        );
    });
    assert_eq!(allocated.count_total, 0);
}
