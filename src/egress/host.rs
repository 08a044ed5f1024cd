//! Host patterns.

use std::{fmt, net::IpAddr, str::FromStr};

use url::Host;

use super::ranges::unwrapped;

/// Matches a host in a URL: either a single name, all names below one (`*.example.com`),
/// or an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern(Kind);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    Name(String),
    Below(String),
    Address(IpAddr),
}

/// The error if a text isn't a valid [`HostPattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a host such as api.example.com or *.example.com, got '{0}'")]
pub struct InvalidHost(String);

impl HostPattern {
    /// Returns true if the pattern matches `name`. The name must be in lower case and
    /// must not end with a dot.
    pub(crate) fn matches_name(&self, name: &str) -> bool {
        match &self.0 {
            Kind::Name(own) => own == name,
            Kind::Below(parent) => name
                .strip_suffix(parent.as_str())
                .is_some_and(|below| below.len() > 1 && below.ends_with('.')),
            Kind::Address(_) => false,
        }
    }

    /// Returns true if the pattern matches a URL that has `address` as its host.
    pub(crate) fn matches_address(&self, address: IpAddr) -> bool {
        self.0 == Kind::Address(address)
    }
}

impl FromStr for HostPattern {
    type Err = InvalidHost;

    fn from_str(text: &str) -> Result<Self, InvalidHost> {
        let invalid = || InvalidHost(text.to_owned());
        let (rest, is_below) = match text.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (text, false),
        };
        let host = match rest.parse::<IpAddr>() {
            Ok(address) => Kind::Address(unwrapped(address)),
            Err(_) => match Host::parse(rest).map_err(|_| invalid())? {
                Host::Domain(name) => Kind::Name(name.trim_end_matches('.').to_owned()),
                Host::Ipv4(address) => Kind::Address(address.into()),
                Host::Ipv6(address) => Kind::Address(unwrapped(address.into())),
            },
        };
        match host {
            Kind::Name(name) if name.is_empty() || name.contains('*') => Err(invalid()),
            Kind::Name(name) if is_below => Ok(Self(Kind::Below(name))),
            Kind::Address(_) if is_below => Err(invalid()),
            host => Ok(Self(host)),
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Name(name) => f.write_str(name),
            Kind::Below(parent) => write!(f, "*.{parent}"),
            Kind::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> HostPattern {
        text.parse().unwrap()
    }

    #[test]
    fn name_matches_itself_in_any_spelling() {
        for text in ["api.example.com", "API.Example.COM", "api.example.com."] {
            assert!(pattern(text).matches_name("api.example.com"), "{text}");
        }
        assert!(pattern("bücher.example").matches_name("xn--bcher-kva.example"));
        assert!(!pattern("example.com").matches_name("api.example.com"));
    }

    #[test]
    fn wildcard_matches_all_names_below() {
        let below = pattern("*.example.com");
        assert!(below.matches_name("api.example.com"));
        assert!(below.matches_name("a.b.example.com"));
        for other in ["example.com", "notexample.com", ".example.com", "com"] {
            assert!(!below.matches_name(other), "{other}");
        }
    }

    #[test]
    fn address_matches_itself_in_any_spelling() {
        let address = "127.0.0.1".parse().unwrap();
        for text in ["127.0.0.1", "0x7f.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1"] {
            assert!(pattern(text).matches_address(address), "{text}");
        }
        assert!(pattern("[::1]").matches_address("::1".parse().unwrap()));
    }

    #[test]
    fn text_that_is_not_a_host_is_rejected() {
        for text in [
            "",
            "*",
            "*.",
            ".",
            "a*.example.com",
            "*.*.example.com",
            "http://example.com",
            "example.com:80",
            "*.10.0.0.1",
            "10.0.0.0/8",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }
}
