//! Requests as they came, checked without decoding them: whether they can be decoded,
//! and whether they can surely be sent.

use std::net::Ipv4Addr;

use tokio::task;

use super::{
    fields::{Fields, Malformed},
    inbound::{field, merge},
};
use crate::proto;

/// Checks the requests of one message, and gives way to others meanwhile.
#[derive(Default)]
pub(super) struct Check {
    /// How many fields were read.
    read: usize,
}

/// How many fields are read before others have a turn.
const FIELDS_AT_ONCE: usize = 4096;

/// The most header lines, and bytes of them, of a request that is plain: well within
/// what can be sent.
const MAX_PLAIN_LINES: usize = 100;
const MAX_PLAIN_BYTES: usize = 16 << 10;

impl Check {
    /// Counts a field that is read, and lets others have a turn after many.
    pub(super) async fn count(&mut self) {
        self.read += 1;
        if self.read.is_multiple_of(FIELDS_AT_ONCE) {
            task::yield_now().await;
        }
    }

    /// Checks that `request` can be decoded, whatever it says. Returns true if it is
    /// plain: it can surely be sent. Any other may be.
    pub(super) async fn request(&mut self, request: &[u8]) -> Result<bool, Malformed> {
        let (mut url, mut method) = ("", "");
        let (mut lines, mut bytes) = (0, 0);
        let mut is_plain = true;
        for found in Fields::of(request) {
            self.count().await;
            let (number, value) = found?;
            match number {
                field::URL => url = value.text(number)?,
                field::METHOD => method = value.text(number)?,
                field::BODY => drop(value.bytes(number)?),
                field::HEADERS => {
                    let line = value.bytes(number)?;
                    lines += 1;
                    bytes += line.len();
                    is_plain &= self.header(line).await?;
                }
                field::OPTIONS => {
                    let mut options = proto::FetchOptions::default();
                    merge(&mut options, value.bytes(number)?, number)?;
                    is_plain = false;
                }
                _ => {}
            }
        }
        let is_small = lines <= MAX_PLAIN_LINES && bytes <= MAX_PLAIN_BYTES;
        Ok(is_plain && is_small && is_plain_method(method) && is_plain_url(url))
    }

    async fn header(&mut self, line: &[u8]) -> Result<bool, Malformed> {
        let (mut name, mut value) = ("", &[][..]);
        for found in Fields::of(line) {
            self.count().await;
            match found? {
                (field::NAME, text) => name = text.text(field::NAME)?,
                (field::VALUE, bytes) => value = bytes.bytes(field::VALUE)?,
                _ => {}
            }
        }
        let is_visible = |byte: &u8| (b' '..=b'~').contains(byte);
        Ok(is_plain_name(name) && value.iter().all(is_visible))
    }
}

fn is_plain_method(method: &str) -> bool {
    matches!(
        method,
        "" | "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "PATCH" | "OPTIONS"
    )
}

fn is_plain_name(name: &str) -> bool {
    const KNOWN: [&str; 9] = [
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "content-type",
        "cookie",
        "if-none-match",
        "range",
        "user-agent",
    ];

    let is_own = || {
        let own = name.strip_prefix(['x', 'X']);
        let own = own.and_then(|rest| rest.strip_prefix('-'));
        own.is_some_and(|rest| {
            let mut bytes = rest.bytes();
            bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
    };
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name)) || is_own()
}

/// Looks at bytes alone, as it is asked of every request.
fn is_plain_url(url: &str) -> bool {
    const MAX: usize = 2 << 10;

    let rest = url.strip_prefix("http://");
    let Some(rest) = rest.or_else(|| url.strip_prefix("https://")) else {
        return false;
    };
    let end = |of: &str, ends: fn(u8) -> bool| of.bytes().position(ends).unwrap_or(of.len());
    let (authority, path) = rest.split_at(end(rest, |byte| byte == b'/'));
    let (host, port) = authority.split_at(end(authority, |byte| byte == b':'));
    let is_of_path = |byte| {
        matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~'
            | b'?' | b'&' | b'=' | b'%' | b'+' | b',' | b':' | b';' | b'@')
    };
    url.len() <= MAX && is_plain_host(host) && is_plain_port(port) && path.bytes().all(is_of_path)
}

/// Nothing, or a colon and a number.
fn is_plain_port(port: &str) -> bool {
    let number = port.strip_prefix(':').unwrap_or("80");
    number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok()
}

fn is_plain_host(host: &str) -> bool {
    const MAX: usize = 200;

    let is_label = |label: &[u8]| {
        let is_first = label.first().is_some_and(u8::is_ascii_lowercase);
        // Those that begin so stand for other letters, or for none.
        let is_known = !label.starts_with(b"xn--");
        let is_of_label = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        is_first && is_known && label.iter().all(is_of_label)
    };
    if host.starts_with(|first: char| first.is_ascii_digit()) {
        return host.parse::<Ipv4Addr>().is_ok();
    }
    let mut labels = host.as_bytes().split(|byte| *byte == b'.');
    host.len() <= MAX && labels.all(is_label)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::Request;

    #[test]
    fn usual_requests_are_plain() {
        for url in [
            "http://a.test/",
            "https://api.example.com:8443/v1/items?page=2&sort=name",
            "http://127.0.0.1:8080/x",
            "http://localhost",
            "http://my-service.my-ns.svc:80/",
        ] {
            assert!(is_plain_url(url), "{url}");
        }
        for url in [
            "",
            "ftp://a/",
            "http://",
            "http://a b/",
            "http://1.2.3.400/",
            "http://a:99999/",
            "http://xn--a/",
        ] {
            assert!(!is_plain_url(url), "{url}");
        }
        assert!(is_plain_name("X-Request-Id") && !is_plain_name("host"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn a_plain_url_can_be_sent(
            url in "https?://[a-zx0-9.:@-]{0,12}(:[0-9]{0,6})?(/[ -~]{0,12})?",
        ) {
            prop_assert!(!is_plain_url(&url) || Request::new(&url, "").is_ok(), "{}", url);
        }

        #[test]
        fn a_plain_header_can_be_sent(name in "[xX]-[!-~]{0,9}|[a-z]{1,8}(-[a-z]{1,8})?") {
            let mut request = Request::new("http://a.test/", "").unwrap();
            let added = request.add_header(&name, "value".into());
            prop_assert!(!is_plain_name(&name) || added.is_ok(), "{}", name);
        }
    }
}
