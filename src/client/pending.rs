//! A request without an outcome.

use crate::proto::FetchRequest;

/// A request that has no outcome yet, and how often and where it was lost.
#[derive(Debug)]
pub(super) struct Pending {
    /// The request's position in the caller's list.
    pub(super) position: usize,
    pub(super) message: FetchRequest,
    /// Number of failed calls that `Resend` has counted as a loss of this request.
    losses: u32,
    /// Names of the replicas to avoid, because they've failed this request. We clear
    /// this once all of them have.
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

    #[cfg(test)]
    pub(super) fn with_method(method: &str) -> Self {
        let method = method.to_owned();
        let message = FetchRequest {
            method,
            ..FetchRequest::default()
        };
        Self::new(0, message)
    }

    /// Counts a loss. Returns the new count.
    pub(super) fn count_loss(&mut self) -> u32 {
        self.losses += 1;
        self.losses
    }

    /// Makes the request avoid the replica `name`, if there's another one.
    pub(super) fn avoid(&mut self, name: &str) {
        if !self.avoids(name) {
            self.avoided.push(name.to_owned());
        }
    }

    /// Returns true if the request avoids the replica `name`.
    pub(super) fn avoids(&self, name: &str) -> bool {
        self.avoided.iter().any(|avoided| avoided == name)
    }

    /// Lets the request go to any replica again.
    pub(super) fn avoid_none(&mut self) {
        self.avoided.clear();
    }

    /// Returns true if it's safe to send the request twice (see RFC 9110, section
    /// 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(
            self.message.method.as_str(),
            "" | "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
        )
    }

    /// Returns the URL's host and port. Note that the URL hasn't been validated here.
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
