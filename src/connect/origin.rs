//! The key for pooled connections.

use std::hash::{Hash, Hasher};

use http::{Uri, uri::Authority};

/// A scheme, host and port. It doesn't matter which connection to an origin a request
/// uses.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    is_https: bool,
    authority: Authority,
}

impl Origin {
    /// Returns the origin of `uri`. The URI must be absolute and normalised.
    pub(crate) fn of(uri: &Uri) -> Option<Self> {
        Some(Self {
            is_https: uri.scheme_str() == Some("https"),
            authority: uri.authority()?.clone(),
        })
    }
}

impl Hash for Origin {
    /// Hashes the authority as a single string. `Authority` would hash it byte by byte in
    /// order to ignore case, but we don't need that since our URIs are normalised.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.authority.as_str().as_bytes());
        state.write_u8(u8::from(self.is_https));
    }
}

impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        self.is_https == other.is_https && self.authority.as_str() == other.authority.as_str()
    }
}

impl Eq for Origin {}
