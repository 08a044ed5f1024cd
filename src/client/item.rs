//! One request on its way to a service, as often as it takes.

use crate::proto::FetchRequest;

/// A request of the caller's list.
#[derive(Debug)]
pub(super) struct Item {
    /// Its place in the list.
    pub(super) position: usize,
    pub(super) message: FetchRequest,
    /// How often it was lost with a call that may have dispatched it.
    losses: u32,
    /// The replicas that failed it since it was last sent to all.
    avoided: Vec<String>,
}

impl Item {
    pub(super) fn new(position: usize, message: FetchRequest) -> Self {
        Self {
            position,
            message,
            losses: 0,
            avoided: Vec::new(),
        }
    }

    /// Counts a loss, and returns how many there were.
    pub(super) fn count_loss(&mut self) -> u32 {
        self.losses += 1;
        self.losses
    }

    /// Notes that the replica `name` failed it.
    pub(super) fn avoid(&mut self, name: &str) {
        if !self.avoids(name) {
            self.avoided.push(name.to_owned());
        }
    }

    /// Returns true if the replica `name` failed it.
    pub(super) fn avoids(&self, name: &str) -> bool {
        self.avoided.iter().any(|avoided| avoided == name)
    }

    /// Forgets which replicas failed it.
    pub(super) fn avoid_none(&mut self) {
        self.avoided.clear();
    }

    /// Returns true if sending it twice is the same as once (RFC 9110, 9.2.2).
    pub(super) fn is_idempotent(&self) -> bool {
        matches!(
            self.message.method.as_str(),
            "" | "GET" | "HEAD" | "OPTIONS" | "TRACE" | "PUT" | "DELETE"
        )
    }

    /// The host that its URL names, with its port.
    pub(super) fn host(&self) -> &str {
        let url = &self.message.url;
        let rest = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let authority = rest.split(['/', '?', '#', '\\']).next();
        let host = authority.unwrap_or(rest).rsplit('@').next();
        host.unwrap_or(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_of_a_url_is_found_without_parsing_it() {
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
            assert_eq!(Item::new(0, message).host(), host);
        }
    }
}
