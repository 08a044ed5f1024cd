//! A proxy that an operator names.

use std::str::FromStr;

use http::{HeaderValue, Uri};
use url::Url;

use crate::credentials::take_authorization;

/// An HTTP proxy that opens tunnels (RFC 9110, 9.3.6). What is printed of it
/// has no credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// What is no proxy. Does not repeat it, since it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a URL such as http://proxy.example:3128 or http://user:password@proxy.example:3128 is accepted"
)]
pub struct InvalidProxy;

impl Proxy {
    /// Where it is: no credentials.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// How the service says who it is.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let mut url = Url::parse(text).map_err(|_| InvalidProxy)?;
        let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "http" || !is_bare {
            return Err(InvalidProxy);
        }
        let authorization = take_authorization(&mut url);
        let uri = Uri::try_from(String::from(url)).map_err(|_| InvalidProxy)?;
        Ok(Self { uri, authorization })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_printed_without_its_password() {
        let proxy: Proxy = "http://user:hunter2@proxy.example:3128".parse().unwrap();
        assert_eq!(proxy.uri(), "http://proxy.example:3128/");
        assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpodW50ZXIy");
        let printed = format!("{proxy:?}");
        assert!(!printed.contains("dXNlcjpodW50ZXIy") && !printed.contains("hunter2"));
    }

    #[test]
    fn only_a_plain_http_proxy_is_accepted() {
        for text in [
            "",
            "proxy.example:3128",
            "https://proxy.example",
            "socks5://proxy.example",
            "http://proxy.example/path",
            "http://proxy.example/?query",
            "http://",
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(InvalidProxy), "{text}");
        }
    }
}
