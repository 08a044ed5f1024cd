//! The proxy used for fetches.

use std::str::FromStr;

use http::{HeaderValue, Uri};
use url::Url;

use crate::credentials::take_authorization;

/// An HTTP proxy to open tunnels through (RFC 9110, 9.3.6). The `Debug` output doesn't
/// show any credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    uri: Uri,
    authorization: Option<HeaderValue>,
}

/// The error if a text isn't a valid [`Proxy`]. The message doesn't repeat the text,
/// because there could be a password in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a URL such as http://proxy.example:3128 or http://user:password@proxy.example:3128"
)]
#[non_exhaustive]
pub struct InvalidProxy;

impl Proxy {
    /// Returns the proxy's address, without any credentials.
    pub(crate) fn uri(&self) -> &Uri {
        &self.uri
    }

    /// Returns our credentials for the proxy, if any.
    pub(crate) fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }
}

impl FromStr for Proxy {
    type Err = InvalidProxy;

    fn from_str(text: &str) -> Result<Self, InvalidProxy> {
        let mut url = Url::parse(text).map_err(|_| InvalidProxy)?;
        let has_only_authority =
            url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        if url.scheme() != "http" || !has_only_authority {
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
    fn debug_output_has_no_password() {
        let proxy: Proxy = "http://user:hunter2@proxy.example:3128".parse().unwrap();
        assert_eq!(proxy.uri(), "http://proxy.example:3128/");
        assert_eq!(proxy.authorization().unwrap(), "Basic dXNlcjpodW50ZXIy");
        let printed = format!("{proxy:?}");
        assert!(!printed.contains("dXNlcjpodW50ZXIy") && !printed.contains("hunter2"));
    }

    #[test]
    fn url_with_anything_but_an_authority_is_rejected() {
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
