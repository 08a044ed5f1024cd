//! Flag value parsers: sizes and durations with units, addresses, URLs and
//! comma-separated lists.
//!
//! Write each error as a phrase starting with "expected". [`Usage`](super::Usage) adds
//! the flag and the value.

mod list;
mod listen_address;
mod network;

use std::{convert::Infallible, ops::RangeInclusive, path::PathBuf, time::Duration};

use bytesize::ByteSize;
use fetchd::client::internals::{EXPECTED_URL, parse_service_url};
use fetchd::config::{
    InvalidOtlpEndpoint, InvalidProxy, Limits, OtlpEndpoint, Proxy, RequestLimits,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

pub(super) use list::{InvalidItem, List};
pub(super) use listen_address::{AdminListen, ListenAddress};
pub(super) use network::Network;

/// The value of `--data`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Data {
    Text(String),
    File(PathBuf),
    Stdin,
}

/// DER root certificates. Empty if the flag doesn't name a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Roots(pub(super) Vec<Vec<u8>>);

/// Creates a parser for whole numbers in `range`.
pub(super) fn whole_number(
    range: RangeInclusive<u32>,
) -> impl Fn(&str) -> Result<u32, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let (start, end) = (range.start(), range.end());
            format!("expected a whole number from {start} to {end}")
        })
    }
}

/// Parses the variable of a flag that takes no value. An empty one is the same as none.
pub(super) fn switch(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" | "" => Ok(false),
        _ => Err("expected true or false"),
    }
}

/// Creates a parser for sizes in `range`: `64KiB`, `10MiB`, or plain bytes.
pub(super) fn size(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> + Clone {
    move |text| {
        let size = text.parse::<ByteSize>().ok().map(|size| size.as_u64());
        size.filter(|size| range.contains(size)).ok_or_else(|| {
            let (start, end) = (in_units(*range.start()), in_units(*range.end()));
            format!("expected a size from {start} to {end}, such as 64KiB or 10MiB")
        })
    }
}

/// Formats a size with the largest unit that needs no fraction, e.g. `64KiB`.
fn in_units(bytes: u64) -> String {
    const UNITS: [&str; 7] = ["", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    let power = match bytes {
        0 => 0,
        // It's one byte short, but that's what 16EiB is parsed as.
        u64::MAX => return "16EiB".to_owned(),
        _ => bytes.trailing_zeros() / 10,
    };
    let unit = UNITS[power as usize];
    format!("{}{unit}", bytes >> (10 * power))
}

/// Parses a duration, which must be greater than zero: `30s`, `250ms`, `1m 30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(text).ok();
    let positive = duration.filter(|duration| !duration.is_zero());
    positive
        .ok_or_else(|| "expected a duration greater than 0s, such as 30s, 250ms or 10m".to_owned())
}

/// Parses a duration. Unlike `duration`, this accepts `0s`.
pub(super) fn delay(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| "expected a duration such as 0s, 250ms, 30s or 10m".to_owned())
}

/// Parses a request timeout. The maximum is one day.
pub(super) fn timeout(text: &str) -> Result<Duration, String> {
    let timeout = duration(text).ok();
    let valid = timeout.filter(|timeout| *timeout <= RequestLimits::MAX_TIMEOUT);
    valid.ok_or_else(|| {
        "expected a duration greater than 0s and at most 1day, such as 30s, 250ms or 10m".to_owned()
    })
}

/// Parses a duration that's at least [`Limits::MIN_TIMEOUT`].
pub(super) fn long_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text).ok();
    let valid = duration.filter(|duration| *duration >= Limits::MIN_TIMEOUT);
    valid.ok_or_else(|| {
        let least = humantime::format_duration(Limits::MIN_TIMEOUT);
        format!("expected a duration of at least {least}, such as 30s or 10m")
    })
}

/// Parses a service URL.
pub(super) fn service(text: &str) -> Result<String, String> {
    match parse_service_url(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err(EXPECTED_URL.to_owned()),
    }
}

/// Parses a comma-separated list of replica URLs.
pub(super) fn services(text: &str) -> Result<String, String> {
    let urls: Result<Vec<_>, _> = text.split(',').map(|url| service(url.trim())).collect();
    Ok(urls?.join(","))
}

/// Parses a header line.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let Some((name, value)) = text.split_once(':') else {
        return Err("expected a header line such as 'Accept: text/html'".to_owned());
    };
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

/// Parses `TEXT`, `@FILE` or `@-`.
#[allow(clippy::unnecessary_wraps, reason = "clap expects a result")]
pub(super) fn data(text: &str) -> Result<Data, Infallible> {
    Ok(match text.strip_prefix('@') {
        Some("-") => Data::Stdin,
        Some(path) => Data::File(path.into()),
        None => Data::Text(text.to_owned()),
    })
}

/// Parses the path of a file that protects the service. The empty string doesn't mean no file:
/// a variable without a value would open the service to everyone.
pub(super) fn file(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() {
        return Err("expected a file");
    }
    Ok(text.into())
}

/// Parses a proxy URL. The empty string means no proxy.
pub(super) fn proxy(text: &str) -> Result<Option<Proxy>, InvalidProxy> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some)
}

/// Parses the URL of a collector. The empty string means none.
pub(super) fn otlp_endpoint(text: &str) -> Result<Option<OtlpEndpoint>, InvalidOtlpEndpoint> {
    if text.is_empty() {
        return Ok(None);
    }
    text.parse().map(Some)
}

/// Reads root certificates from a PEM file. The empty string means no file.
pub(super) fn roots(path: &str) -> Result<Roots, String> {
    if path.is_empty() {
        return Ok(Roots(Vec::new()));
    }
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates =
        certificates.map_err(|error| format!("expected a file of PEM certificates ({error})"))?;
    if certificates.is_empty() {
        return Err("expected a file of PEM certificates (it contains none)".to_owned());
    }
    let roots = certificates
        .iter()
        .map(|root: &CertificateDer<'_>| root.to_vec());
    Ok(Roots(roots.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_binary_units() {
        let parse = size(0..=u64::MAX);
        assert_eq!(parse("64KiB"), Ok(64 << 10));
        assert_eq!(parse("10MiB"), Ok(10 << 20));
        assert_eq!(parse("1GiB"), Ok(1 << 30));
        assert_eq!(parse("1000"), Ok(1000));
        assert_eq!(parse("16EiB"), Ok(u64::MAX));
        let error = parse("ten").unwrap_err();
        assert!(error.contains("from 0 to 16EiB"), "{error}");
    }

    #[test]
    fn sizes_out_of_range_are_rejected_with_the_range() {
        let parse = size(1025..=1 << 40);
        assert_eq!(parse("1025"), Ok(1025));
        for wrong in ["1KiB", "1025GiB", "-1", "1.5", ""] {
            let error = parse(wrong).unwrap_err();
            assert!(error.contains("from 1025 to 1TiB"), "{error}");
        }
    }

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("1m 30s"), Ok(Duration::from_secs(90)));
        for wrong in ["", "0s", "5", "-1s", "1 fortnight"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        assert_eq!(delay("0s"), Ok(Duration::ZERO));
        assert_eq!(long_duration("100ms"), Ok(Duration::from_millis(100)));
        for wrong in ["99ms", "0s", "soon"] {
            let error = long_duration(wrong).unwrap_err();
            assert!(error.contains("at least 100ms"), "{error}");
        }
        assert_eq!(timeout("1day"), Ok(Duration::from_hours(24)));
        for wrong in ["1day 1ns", "0s", "soon"] {
            let error = timeout(wrong).unwrap_err();
            assert!(
                error.contains("greater than 0s and at most 1day"),
                "{error}"
            );
        }
    }

    #[test]
    fn numbers_out_of_range_are_rejected_with_the_range() {
        let parse = whole_number(1..=1024);
        assert_eq!(parse("1024"), Ok(1024));
        for wrong in ["0", "1025", "-1", "1.5", "many", "5000000000"] {
            let expected = "expected a whole number from 1 to 1024".to_owned();
            assert_eq!(parse(wrong), Err(expected), "{wrong}");
        }
    }
}
