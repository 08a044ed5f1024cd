//! Checks that any URL, with any DNS answer, is either rejected or leads to public
//! addresses only.

#![no_main]

use std::net::IpAddr;

use fetchd::internals::{
    egress_property::{
        address_is_allowed_if_and_only_if_it_is_public, only_public_addresses_are_dialed,
    },
    parse_url,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, Vec<IpAddr>)| {
    let (url, answers) = input;
    for url in [&url, &format!("http://{url}")] {
        if let Some(uri) = parse_url(url) {
            only_public_addresses_are_dialed(&uri, &answers);
        }
    }
    for address in answers {
        address_is_allowed_if_and_only_if_it_is_public(address);
    }
});
