//! Random tests from the URL all the way to the egress policy. They check that no matter
//! how a host is spelled, it makes no difference to which addresses may be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use crate::{
    egress::{
        Host, Policy, Rules, Target,
        property::{
            address_is_allowed_if_and_only_if_it_is_public, is_public,
            only_public_addresses_are_dialed,
        },
    },
    request::Request,
};

/// Checks which addresses we'd dial for `url`, provided that it's accepted.
fn check_dialed(url: &str, answers: &[IpAddr]) {
    if let Ok(request) = Request::new(url, "") {
        only_public_addresses_are_dialed(&request.uri, answers);
    }
}

/// Generates addresses. Many of these are inside or close to a special range.
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

/// Generates an address along with one of the many spellings that URL parsers accept.
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
            let last_bits = 8 * (5 - u32::try_from(count).unwrap());
            parts.push(one(
                u32::try_from(rest >> (64 - last_bits)).unwrap(),
                styles[0],
            ));
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
    fn address_is_denied_if_and_only_if_it_is_special(address in addresses()) {
        address_is_allowed_if_and_only_if_it_is_public(address);
    }

    #[test]
    fn any_string_is_rejected_or_leads_to_public_addresses(
        text in any::<String>(),
        answers in prop::collection::vec(addresses(), 0..6),
    ) {
        check_dialed(&text, &answers);
        check_dialed(&format!("http://{text}"), &answers);
        check_dialed(&format!("https://{text}/"), &answers);
    }

    #[test]
    fn any_host_is_rejected_or_leads_to_public_addresses(
        host in "([0-9a-fxA-FX.:%@\\[\\]\\\\/#?-]|localhost|127|::|ffff|[０-９。]){1,24}",
        answers in prop::collection::vec(addresses(), 0..6),
    ) {
        check_dialed(&format!("http://{host}"), &answers);
        check_dialed(&format!("http://1.1.1.1@{host}:80/"), &answers);
    }

    #[test]
    fn every_spelling_of_an_address_gets_the_same_decision((address, text) in spellings()) {
        let url = format!("http://{text}/");
        let request = Request::new(&url, "").unwrap();
        let target = Target::of(&request.uri);
        prop_assert_eq!(target.host, Host::Address(address.into()), "{}", url);
        let policy = Policy::new(&Rules::default());
        prop_assert_eq!(policy.check_target(&target).is_ok(), is_public(address.into()));
    }

    #[test]
    fn ipv6_address_in_a_url_is_the_target(bits in any::<u128>(), upper in any::<bool>()) {
        let address = Ipv6Addr::from(bits);
        let text = if upper { address.to_string().to_uppercase() } else { address.to_string() };
        let request = Request::new(&format!("http://[{text}]/"), "").unwrap();
        prop_assert_eq!(Target::of(&request.uri).host, Host::Address(address.into()));
    }
}
