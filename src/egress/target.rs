//! Where a URL leads to.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use http::Uri;

/// A URL's host and port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The host.
    pub host: Host<'a>,
    /// The port. If the URL doesn't have one, this is the scheme's default port.
    pub port: u16,
}

/// A URL's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name in ASCII form, without a trailing dot.
    Name(&'a str),
    /// `localhost`, or any name below it. We never look up these names but always use the
    /// loopback addresses (RFC 6761, 6.3).
    Localhost(&'a str),
    /// A literal address.
    Address(IpAddr),
}

impl<'a> Target<'a> {
    /// Returns the target of `uri`.
    ///
    /// The URI has to be absolute, and normalised as described in the URL standard. Once
    /// normalised, there's only a single way to spell an address.
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

    /// Returns true if the host is a name that we need to look up.
    pub fn is_name(&self) -> bool {
        matches!(self.host, Host::Name(_))
    }

    /// Returns the addresses that we know without a lookup. If the host is a name, there
    /// aren't any.
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
        // A trailing dot just marks the name as fully qualified. There can't be more than
        // one, since `Request` rejects empty labels.
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
