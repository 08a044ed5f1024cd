//! Checks requests without decoding them.
//!
//! We need to know two things about each request: if it can be decoded, and if it can be
//! sent. A request is "plain" if a quick look tells us that it can definitely be sent.
//! Nearly all of them are. For the rest, we decode the request once to find out.

use std::net::Ipv4Addr;

use tokio::task;

use super::{
    field::{header, request as field},
    fields::{Fields, Malformed, merge},
};
use crate::proto;

/// Checks a message's requests. Yields to other tasks every once in a while.
#[derive(Default)]
pub(super) struct Checker {
    /// How many fields we've read.
    fields: usize,
}

/// How many fields to read before we yield to other tasks.
const FIELDS_PER_TURN: usize = 4096;

/// The maximum number of header lines in a plain request, and of bytes in these lines.
/// Anything above isn't necessarily invalid. These are far below the limits of
/// [`Request`](crate::request::Request).
const MAX_PLAIN_LINES: usize = 100;
const MAX_PLAIN_BYTES: usize = 16 << 10;

impl Checker {
    /// Counts a field, and yields to other tasks every [`FIELDS_PER_TURN`] fields.
    pub(super) async fn count(&mut self) {
        self.fields += 1;
        if self.fields.is_multiple_of(FIELDS_PER_TURN) {
            task::yield_now().await;
        }
    }

    /// Returns true if `request` is plain, or an error if it can't be decoded.
    pub(super) async fn is_plain(&mut self, request: &[u8]) -> Result<bool, Malformed> {
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
                    is_plain &= self.is_plain_header(line).await?;
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

    async fn is_plain_header(&mut self, line: &[u8]) -> Result<bool, Malformed> {
        let (mut name, mut value) = ("", &[][..]);
        for found in Fields::of(line) {
            self.count().await;
            match found? {
                (header::NAME, text) => name = text.text(header::NAME)?,
                (header::VALUE, bytes) => value = bytes.bytes(header::VALUE)?,
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

    if let [b'x' | b'X', b'-', rest @ ..] = name.as_bytes() {
        return rest
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    }
    KNOWN.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Returns true if `url` is plain. This runs for every request, so we just look at the
/// bytes instead of parsing the URL.
fn is_plain_url(url: &str) -> bool {
    const MAX: usize = 2 << 10;

    let after_scheme = url
        .strip_prefix("http://")
        .or_else(|| url.strip_prefix("https://"));
    let Some(rest) = after_scheme else {
        return false;
    };
    let (authority, path) = split_before(rest, b'/');
    let (host, port) = split_before(authority, b':');
    let is_path_byte = |byte| {
        matches!(byte, b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'-' | b'_' | b'.' | b'~'
            | b'?' | b'&' | b'=' | b'%' | b'+' | b',' | b':' | b';' | b'@')
    };
    url.len() <= MAX && is_plain_host(host) && is_plain_port(port) && path.bytes().all(is_path_byte)
}

/// Splits `text` before the first `byte`. If there isn't one, the second half is empty.
fn split_before(text: &str, byte: u8) -> (&str, &str) {
    let position = text.bytes().position(|other| other == byte);
    text.split_at(position.unwrap_or(text.len()))
}

/// Returns true if `port` is empty, or a colon followed by a port number.
fn is_plain_port(port: &str) -> bool {
    let number = port.strip_prefix(':').unwrap_or("80");
    number.bytes().all(|byte| byte.is_ascii_digit()) && number.parse::<u16>().is_ok()
}

fn is_plain_host(host: &str) -> bool {
    const MAX: usize = 200;

    let is_label = |label: &[u8]| {
        let starts_with_letter = label.first().is_some_and(u8::is_ascii_lowercase);
        // We'd have to decode punycode to know if it's valid.
        let prefix = label.get(..4).unwrap_or_default();
        let is_punycode = prefix.eq_ignore_ascii_case(b"xn--");
        let is_label_byte = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'-';
        starts_with_letter && !is_punycode && label.iter().all(is_label_byte)
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
    fn usual_urls_and_names_are_plain() {
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
            "http://xN--a/",
        ] {
            assert!(!is_plain_url(url), "{url}");
        }
        assert!(is_plain_name("X-Request-Id") && !is_plain_name("host"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn plain_url_can_be_sent(
            url in "https?://([xX][nN]--)?[a-zA-Z0-9.:@-]{0,12}(:[0-9]{0,6})?(/[ -~]{0,12})?",
        ) {
            prop_assert!(!is_plain_url(&url) || Request::new(&url, "").is_ok(), "{}", url);
        }

        #[test]
        fn plain_header_can_be_sent(name in "[xX]-[!-~]{0,9}|[a-z]{1,8}(-[a-z]{1,8})?") {
            let mut request = Request::new("http://a.test/", "").unwrap();
            let added = request.add_header(&name, "value".into());
            prop_assert!(!is_plain_name(&name) || added.is_ok(), "{}", name);
        }
    }
}
