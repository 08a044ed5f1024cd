//! The destination of a URL.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use http::Uri;

/// The host and the port of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port, or the default port of the scheme.
    pub port: u16,
}

/// The host of a URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name, in its ASCII form and without a trailing dot.
    Name(&'a str),
    /// `localhost` or a name below it. It stands for the loopback addresses and is never
    /// looked up (RFC 6761, 6.3).
    Localhost(&'a str),
    /// A literal address.
    Address(IpAddr),
}

impl<'a> Target<'a> {
    /// Returns the target of `uri`, which must be absolute and normalised according to
    /// the URL standard. In that form, every spelling of an address is the same.
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

    /// Returns the addresses that are known without a lookup: none if the host is a name.
    pub fn known_addresses(&self) -> impl Iterator<Item = SocketAddr> + use<> {
        let port = self.port;
        let addresses = match self.host {
            Host::Name(_) => [None, None],
            Host::Localhost(_) => [
                Some(Ipv6Addr::LOCALHOST.into()),
                Some(Ipv4Addr::LOCALHOST.into()),
            ],
            Host::Address(address) => [Some(address), None],
        };
        addresses
            .into_iter()
            .flatten()
            .map(move |address| SocketAddr::new(address, port))
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
        // A trailing dot marks a fully qualified name. `Request` rejects further dots.
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
