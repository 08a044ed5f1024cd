//! Where a URL leads.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use http::Uri;

/// The host and the port of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// Whose addresses are to be dialled.
    pub host: Host<'a>,
    /// The port, by default that of the scheme.
    pub port: u16,
}

/// The host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name, in the ASCII form and without a final dot.
    Name(&'a str),
    /// `localhost`, or a name below it: the loopback addresses, whatever a name
    /// server would say (RFC 6761, 6.3).
    Localhost(&'a str),
    /// An address.
    Address(IpAddr),
}

impl<'a> Target<'a> {
    /// Where `uri` leads: absolute, and in the form that the URL standard gives
    /// a URL, in which every spelling of an address is the same.
    pub fn of(uri: &'a Uri) -> Self {
        let default = if uri.scheme_str() == Some("https") {
            443
        } else {
            80
        };
        Self {
            host: Host::of(uri.host().unwrap_or_default()),
            port: uri.port_u16().unwrap_or(default),
        }
    }

    /// Returns true if the host is a name that has to be looked up.
    pub fn is_name(&self) -> bool {
        matches!(self.host, Host::Name(_))
    }

    /// What is dialled without a look-up: nothing for a name.
    pub fn known_addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let port = self.port;
        let known = match self.host {
            Host::Name(_) => [None, None],
            Host::Localhost(_) => [
                Some(Ipv6Addr::LOCALHOST.into()),
                Some(Ipv4Addr::LOCALHOST.into()),
            ],
            Host::Address(address) => [Some(address), None],
        };
        let known = known.into_iter().flatten();
        known.map(move |address| SocketAddr::new(address, port))
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host {
            Host::Address(address) => SocketAddr::new(address, self.port).fmt(f),
            host => write!(f, "{host}:{}", self.port),
        }
    }
}

impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) | Self::Localhost(name) => f.write_str(name),
            Self::Address(address) => address.fmt(f),
        }
    }
}

impl<'a> Host<'a> {
    fn of(host: &'a str) -> Self {
        // One dot ends a name that is complete; a request has no more of them.
        let name = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = name.trim_matches(['[', ']']).parse() {
            return Self::Address(address);
        }
        let top = name.rsplit('.').next().unwrap_or_default();
        if top.eq_ignore_ascii_case("localhost") {
            Self::Localhost(name)
        } else {
            Self::Name(name)
        }
    }
}
