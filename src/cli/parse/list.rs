//! Comma-separated lists. We accept empty lists, so that setting an environment variable
//! to the empty string is the same as not setting it.

use std::{net::IpAddr, str::FromStr};

use fetchd::config::HostPattern;
use ipnet::IpNet;

/// A comma-separated list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct List<T>(Vec<T>);

/// A list item that we couldn't parse.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expected}")]
pub(in crate::cli) struct InvalidItem {
    expected: &'static str,
    /// The item as the user wrote it.
    pub(in crate::cli) text: String,
}

/// Types we can parse lists of.
pub(in crate::cli) trait Item: Sized {
    /// Describes valid items, for error messages.
    const EXPECTED: &'static str;

    /// Parses one item.
    fn parse(text: &str) -> Option<Self>;
}

impl<T: Clone> List<T> {
    /// Returns the items of all lists. (A flag that is given several times results in
    /// several lists.)
    pub(in crate::cli) fn concat(lists: &[Self]) -> Vec<T> {
        lists.iter().flat_map(|list| list.0.clone()).collect()
    }
}

impl<T: Item> FromStr for List<T> {
    type Err = InvalidItem;

    fn from_str(text: &str) -> Result<Self, InvalidItem> {
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(|item| {
                T::parse(item).ok_or_else(|| InvalidItem {
                    expected: T::EXPECTED,
                    text: item.to_owned(),
                })
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Item for IpNet {
    const EXPECTED: &'static str = "expected networks such as 10.0.0.0/8,fd00::/8";

    fn parse(text: &str) -> Option<Self> {
        let network = text.parse().ok();
        network.or_else(|| text.parse::<IpAddr>().ok().map(Self::from))
    }
}

impl Item for HostPattern {
    const EXPECTED: &'static str =
        "expected host names such as api.example.com,*.example.com, or IP addresses";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

/// Ports.
impl Item for u16 {
    const EXPECTED: &'static str = "expected ports from 1 to 65535, such as 80,443";

    fn parse(text: &str) -> Option<Self> {
        text.parse().ok().filter(|port| *port != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_are_separated_by_commas() {
        let networks: List<IpNet> = "127.0.0.0/8, ::1".parse().unwrap();
        let expected = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap());
        assert_eq!(networks.0, expected);
        assert_eq!("80, 443".parse(), Ok(List(vec![80, 443])));
        assert!("*.example.com,a.b".parse::<List<HostPattern>>().is_ok());
    }

    #[test]
    fn lists_may_be_empty() {
        assert_eq!("".parse(), Ok(List::<IpNet>(Vec::new())));
    }

    #[test]
    fn errors_name_the_invalid_item() {
        let error = "127.0.0.0/8,nonsense".parse::<List<IpNet>>().unwrap_err();
        assert_eq!(error.text, "nonsense");
        for port in ["0", "65536", "http", "-1"] {
            let list = format!("80,{port}");
            let error = list.parse::<List<u16>>().unwrap_err();
            assert_eq!(error.text, port);
        }
    }
}
