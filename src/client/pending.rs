//! One request that has no outcome yet.

use crate::proto::FetchRequest;

/// A request that has no outcome yet, with the history of its losses.
#[derive(Debug)]
pub(super) struct Pending {
    /// The position of the request in the caller's list.
    pub(super) position: usize,
    pub(super) message: FetchRequest,
    /// The number of failed calls that may have dispatched the request.
    losses: u32,
    /// The names of the replicas that failed since the request was last open to all.
    avoided: Vec<String>,
}

impl Pending {
    pub(super) fn new(position: usize, message: FetchRequest) -> Self {
        Self {
            position,
            message,
            losses: 0,
            avoided: Vec::new(),
        }
    }

    /// Counts a loss, and returns the number of losses.
    pub(super) fn count_loss(&mut self) -> u32 {
        self.losses += 1;
        self.losses
    }

    /// Makes the request prefer other replicas than `name`.
    pub(super) fn avoid(&mut self, name: &str) {
        if !self.avoids(name) {
            self.avoided.push(name.to_owned());
        }
    }

    /// Returns true if the request prefers other replicas than `name`.
    pub(super) fn avoids(&self, name: &str) -> bool {
        self.avoided.iter().any(|avoided| avoided == name)
    }

    /// Opens the request to all replicas again.
    pub(super) fn avoid_none(&mut self) {
        self.avoided.clear();
    }

    /// Returns true if sending the request twice has the same effect as sending it
    /// once (RFC 9110, 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(
            self.message.method.as_str(),
            "" | "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
        )
    }

    /// Returns the host and port of the URL, which need not be valid.
    pub(super) fn host(&self) -> &str {
        let url = self.message.url.as_str();
        let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
        let end = after_scheme.find(['/', '?', '#', '\\']);
        let authority = &after_scheme[..end.unwrap_or(after_scheme.len())];
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_is_found_without_parsing_the_url() {
        for (url, host) in [
            ("http://a.example/path", "a.example"),
            ("https://user:p@a.example:8443?x", "a.example:8443"),
            ("http://[::1]:80/", "[::1]:80"),
            ("nonsense", "nonsense"),
        ] {
            let url = url.to_owned();
            let message = FetchRequest {
                url,
                ..FetchRequest::default()
            };
            assert_eq!(Pending::new(0, message).host(), host);
        }
    }
}
