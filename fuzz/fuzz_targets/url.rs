//! From a URL, and what its name resolves to, to what would be dialled: for any
//! string, either it is refused, or every address is public.

#![no_main]

use std::net::IpAddr;

use fetchd::egress::property;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (String, Vec<IpAddr>)| {
    let (url, answers) = input;
    property::only_public_addresses_are_dialled(&url, &answers);
    property::only_public_addresses_are_dialled(&format!("http://{url}"), &answers);
    for address in answers {
        property::an_address_is_allowed_exactly_if_it_is_public(address);
    }
});
