//! How values are written: sizes and durations with units, networks as CIDRs.

use std::{net::IpAddr, str::FromStr, time::Duration};

use bytesize::ByteSize;
use fetchd::config::Ceilings;
use http::Uri;
use ipnet::IpNet;

/// A list of networks, separated by commas; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Networks(Vec<IpNet>);

/// `64KiB`, `10MiB`, or a number of bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let size = ByteSize::from_str(text);
    let size = size.map_err(|_| "a size such as 64KiB or 10MiB is accepted".to_owned())?;
    Ok(size.as_u64())
}

/// `30s`, `250ms`, `1m 30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let accepted = || "a duration above 0s such as 30s, 250ms or 10m is accepted".to_owned();
    let duration = humantime::parse_duration(text).map_err(|_| accepted())?;
    if duration.is_zero() {
        return Err(accepted());
    }
    Ok(duration)
}

/// A duration that one request may take.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    if timeout > Ceilings::LONGEST_TIMEOUT {
        return Err("at most 1day is accepted".to_owned());
    }
    Ok(timeout)
}

/// The URL of a service.
pub(super) fn service(text: &str) -> Result<String, String> {
    let uri = text.parse::<Uri>().ok();
    let is_service =
        uri.is_some_and(|uri| uri.scheme_str() == Some("http") && uri.host().is_some());
    if is_service {
        Ok(text.to_owned())
    } else {
        Err("a URL such as http://localhost:50051 is accepted".to_owned())
    }
}

impl Networks {
    /// The networks of all lists.
    pub(super) fn joined(lists: &[Self]) -> Vec<IpNet> {
        lists
            .iter()
            .flat_map(|list| list.0.iter().copied())
            .collect()
    }
}

impl FromStr for Networks {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim);
        let networks = items.filter(|item| !item.is_empty()).map(network);
        networks.collect::<Result<_, _>>().map(Self)
    }
}

fn network(text: &str) -> Result<IpNet, String> {
    let network = text.parse::<IpNet>().ok();
    let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    network.ok_or_else(|| {
        format!("'{text}' is not a network; CIDRs such as 10.0.0.0/8,fd00::/8 are accepted")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_take_units() {
        assert_eq!(size("64KiB"), Ok(64 << 10));
        assert_eq!(size("10MiB"), Ok(10 << 20));
        assert_eq!(size("1GiB"), Ok(1 << 30));
        assert_eq!(size("1000"), Ok(1000));
        assert!(size("ten").is_err());
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "0s", "5", "-1s", "1 fortnight"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn networks_are_a_list_that_may_be_empty() {
        let parsed: Networks = "127.0.0.0/8, ::1".parse().unwrap();
        assert_eq!(
            parsed.0,
            ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap())
        );
        assert_eq!("".parse(), Ok(Networks(Vec::new())));
        assert!("127.0.0.0/8,nonsense".parse::<Networks>().is_err());
    }
}
