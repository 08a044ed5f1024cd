//! How values are written: sizes and durations with units, lists with commas.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::Duration,
};

use bytesize::ByteSize;
use fetchd::{
    config::{InvalidProxy, Proxy, RequestLimits},
    egress::{HostPattern, InvalidHost},
};
use http::Uri;
use ipnet::IpNet;
use rustls::pki_types::{CertificateDer, pem::PemObject};

/// A list, separated by commas; may be empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct List<T>(Vec<T>);

/// Where to listen, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listen(pub(super) Option<SocketAddr>);

/// What can be in a [`List`].
pub(super) trait Item: Sized {
    /// Reads one item, or says what is accepted.
    fn read(text: &str) -> Result<Self, String>;
}

/// Certificates (DER).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Roots(pub(super) Vec<Vec<u8>>);

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

/// The same, or none.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    let accepted = "a duration such as 0s, 30s, 250ms or 10m is accepted";
    humantime::parse_duration(text).map_err(|_| accepted.to_owned())
}

/// A duration that one request may take.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text)?;
    if timeout > RequestLimits::MAX_TIMEOUT {
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

/// The URLs of a service, separated by commas.
pub(super) fn services(text: &str) -> Result<String, String> {
    let urls = text.split(',').map(|url| service(url.trim()));
    let urls: Vec<_> = urls.collect::<Result<_, _>>()?;
    Ok(urls.join(","))
}

/// A proxy, or none where nothing is said.
pub(super) fn proxy(text: &str) -> Result<Option<Proxy>, InvalidProxy> {
    let is_said = !text.is_empty();
    is_said.then(|| text.parse()).transpose()
}

/// The certificates (DER) of a file of PEM certificates; none without a file.
pub(super) fn roots(path: &str) -> Result<Roots, String> {
    const ACCEPTED: &str = "a file of PEM certificates is accepted";

    if path.is_empty() {
        return Ok(Roots(Vec::new()));
    }
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<CertificateDer<'_>> =
        read.map_err(|error| format!("{error}; {ACCEPTED}"))?;
    if certificates.is_empty() {
        return Err(format!("holds no certificate; {ACCEPTED}"));
    }
    let certificates = certificates.into_iter();
    Ok(Roots(certificates.map(|root| root.to_vec()).collect()))
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" {
            return Ok(Self(None));
        }
        let address = text.parse().map(|address| Self(Some(address)));
        address.map_err(|_| "an address such as 127.0.0.1:9090, or off, is accepted".to_owned())
    }
}

impl<T: Clone> List<T> {
    /// The items of all lists.
    pub(super) fn joined(lists: &[Self]) -> Vec<T> {
        lists.iter().flat_map(|list| list.0.clone()).collect()
    }
}

impl<T: Item> FromStr for List<T> {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim);
        let items = items.filter(|item| !item.is_empty()).map(T::read);
        items.collect::<Result<_, _>>().map(Self)
    }
}

impl Item for IpNet {
    fn read(text: &str) -> Result<Self, String> {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.ok_or_else(|| {
            format!("'{text}' is not a network; CIDRs such as 10.0.0.0/8,fd00::/8 are accepted")
        })
    }
}

impl Item for HostPattern {
    fn read(text: &str) -> Result<Self, String> {
        text.parse().map_err(|error: InvalidHost| error.to_string())
    }
}

/// A port.
impl Item for u16 {
    fn read(text: &str) -> Result<Self, String> {
        let port = text.parse().ok().filter(|port| *port != 0);
        port.ok_or_else(|| format!("'{text}' is not a port; numbers such as 80,443 are accepted"))
    }
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
    fn lists_may_be_empty() {
        let parsed: List<IpNet> = "127.0.0.0/8, ::1".parse().unwrap();
        let expected = ["127.0.0.0/8", "::1/128"].map(|net| net.parse().unwrap());
        assert_eq!(parsed.0, expected);
        assert_eq!("".parse(), Ok(List::<IpNet>(Vec::new())));
        assert!("127.0.0.0/8,nonsense".parse::<List<IpNet>>().is_err());
        assert_eq!("80, 443".parse(), Ok(List(vec![80, 443])));
        for wrong in ["0", "65536", "http", "-1"] {
            assert!(wrong.parse::<List<u16>>().is_err(), "{wrong}");
        }
        assert!("*.example.com,a.b".parse::<List<HostPattern>>().is_ok());
    }
}
