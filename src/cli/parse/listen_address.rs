//! Addresses to listen on.

use std::{fmt, net::SocketAddr, str::FromStr};

/// Where a listener binds. A host name is only looked up when it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum ListenAddress {
    Address(SocketAddr),
    Name { host: String, port: u16 },
}

/// The address of the admin listener, or `off`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) enum AdminListen {
    Off,
    At(ListenAddress),
}

impl ListenAddress {
    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse() {
            return Some(Self::Address(address));
        }
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        is_host_name(host).then(|| Self::Name {
            host: host.to_owned(),
            port,
        })
    }
}

impl FromStr for ListenAddress {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).ok_or("expected an address such as 127.0.0.1:50051 or localhost:50051")
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.fmt(f),
            Self::Name { host, port } => write!(f, "{host}:{port}"),
        }
    }
}

impl FromStr for AdminListen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "off" {
            return Ok(Self::Off);
        }
        let address = ListenAddress::parse(text);
        address
            .map(Self::At)
            .ok_or("expected an address such as 127.0.0.1:9090 or localhost:9090, or off")
    }
}

/// Returns true if `text` has the form of a host name (RFC 1123, 2.1).
///
/// If the last label is a number, then it's an IPv4 address that somebody misspelt. We
/// have to reject it here, because the system's look-up takes `10.1` for `10.0.0.1`.
fn is_host_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    let last = name.rsplit('.').next().unwrap_or(name);
    name.len() <= 253 && name.split('.').all(is_label) && !is_number(last)
}

/// Returns true if the system's look-up takes `label` for a number.
fn is_number(label: &str) -> bool {
    let hex = label.strip_prefix("0x").or(label.strip_prefix("0X"));
    match hex {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(host: &str, port: u16) -> ListenAddress {
        ListenAddress::Name {
            host: host.to_owned(),
            port,
        }
    }

    #[test]
    fn an_address_or_a_host_name_has_a_port() {
        let address = |text: &str| Ok(ListenAddress::Address(text.parse().unwrap()));
        for text in ["127.0.0.1:50051", "[::1]:0", "0.0.0.0:1"] {
            assert_eq!(text.parse(), address(text));
        }
        for (text, expected) in [
            ("localhost:50051", name("localhost", 50051)),
            ("a_b.c-1.example.:0", name("a_b.c-1.example.", 0)),
            ("4.example:65535", name("4.example", 65535)),
            ("3f2a91c0:1", name("3f2a91c0", 1)),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()));
            assert_eq!(expected.to_string(), text);
        }
    }

    #[test]
    fn anything_else_is_rejected() {
        let long = format!("{}:1", "a".repeat(64));
        for text in [
            "",
            "localhost",
            ":50051",
            "localhost:",
            "localhost:port",
            "localhost:65536",
            "localhost:-1",
            "::1:50051",
            "[localhost]:1",
            "http://localhost:1",
            "user@localhost:1",
            "a b:1",
            "a..b:1",
            ".a:1",
            "10.1:1",
            "256.0.0.1:1",
            "0x7f000001:1",
            "8080:50051",
            &long,
        ] {
            assert!(text.parse::<ListenAddress>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_admin_listener_can_be_off() {
        assert_eq!("off".parse(), Ok(AdminListen::Off));
        let address = "127.0.0.1:9090".parse().unwrap();
        let at = |address| Ok(AdminListen::At(address));
        assert_eq!(
            "127.0.0.1:9090".parse(),
            at(ListenAddress::Address(address))
        );
        assert_eq!("localhost:9090".parse(), at(name("localhost", 9090)));
        assert!("nowhere".parse::<AdminListen>().is_err());
    }
}
