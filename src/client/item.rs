//! One request on its way to a service, as often as it takes.

use crate::proto::FetchRequest;

/// A request of the caller's list.
#[derive(Debug)]
pub(super) struct Item {
    /// Its place in the list.
    pub(super) position: usize,
    pub(super) message: FetchRequest,
    /// How often it was sent to a service that may have taken it.
    pub(super) sends: u32,
    /// How often it was refused for lack of room.
    refusals: u32,
}

/// The most services that a request is sent to, one after another.
const MAX_SENDS: u32 = 6;

/// How often it may be refused besides: with the waits that are asked for, some
/// minutes.
const MAX_REFUSALS: u32 = 60;

impl Item {
    pub(super) fn new(position: usize, message: FetchRequest) -> Self {
        Self {
            position,
            message,
            sends: 0,
            refusals: 0,
        }
    }

    /// Notes that the last sending came to nothing, where it was `for_room`.
    pub(super) fn refused(&mut self, for_room: bool) {
        if for_room && self.refusals < MAX_REFUSALS {
            self.refusals += 1;
            self.sends = self.sends.saturating_sub(1);
        }
    }

    /// Whether it may be sent again, after a service that may have `dispatched`
    /// it: what is not idempotent may not.
    pub(super) fn may_be_sent_again(&self, dispatched: bool) -> bool {
        self.sends < MAX_SENDS && (self.is_idempotent() || !dispatched)
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

    fn item(method: &str, url: &str) -> Item {
        let (method, url) = (method.to_owned(), url.to_owned());
        Item::new(
            0,
            FetchRequest {
                method,
                url,
                ..FetchRequest::default()
            },
        )
    }

    #[test]
    fn a_host_is_what_stands_between() {
        for (url, host) in [
            ("http://a.example/path", "a.example"),
            ("https://user:p@a.example:8443?x", "a.example:8443"),
            ("http://[::1]:80/", "[::1]:80"),
            ("nonsense", "nonsense"),
        ] {
            assert_eq!(item("", url).host(), host);
        }
    }

    #[test]
    fn a_post_is_sent_again_only_where_it_was_not_dispatched() {
        assert!(item("GET", "").may_be_sent_again(true));
        assert!(!item("POST", "").may_be_sent_again(true));
        assert!(item("POST", "").may_be_sent_again(false));
        let mut tired = item("GET", "");
        tired.sends = MAX_SENDS;
        assert!(!tired.may_be_sent_again(false));
    }
}
