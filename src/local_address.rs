//! Finds out if an address belongs to this machine.

use std::{
    io,
    net::{IpAddr, UdpSocket},
};

/// Returns true if `address` belongs to this machine.
///
/// We simply try to bind a socket to it, which the OS refuses for any other address. If
/// binding fails for some other reason, we play it safe and treat the address as local,
/// so that the egress policy denies it.
pub(crate) fn is_local(address: IpAddr) -> bool {
    match UdpSocket::bind((address, 0)) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::AddrNotAvailable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_of_this_machine_are_local() {
        for (address, expected) in [("127.0.0.1", true), ("0.0.0.0", true), ("192.0.2.1", false)] {
            assert_eq!(is_local(address.parse().unwrap()), expected, "{address}");
        }
    }
}
