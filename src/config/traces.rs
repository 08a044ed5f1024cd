//! Traces: where they go, and which calls are traced.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use http::HeaderMap;
use url::Url;

/// Sends a trace of each sampled call to an OpenTelemetry collector, over OTLP/gRPC.
///
/// The exporter runs on a thread of its own, and never delays a fetch. The library that it
/// uses also reads `OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_EXPORTER_OTLP_TRACES_HEADERS` and
/// the variables for compression from the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traces {
    /// The collector.
    pub endpoint: OtlpEndpoint,
    /// Header lines for the collector, such as credentials. If they're marked as sensitive,
    /// they aren't part of the `Debug` output. Default: none.
    pub headers: HeaderMap,
    /// How long the collector may take to accept spans, including repeated attempts. After
    /// that, they're dropped. Default: 10 s.
    pub timeout: Duration,
    /// Which calls are traced. Default: those that their caller traces, and all others
    /// that don't belong to a trace.
    pub sampler: Sampler,
    /// Attributes of this service. Default: its `service.name` and `service.version`.
    pub resource: BTreeMap<String, String>,
    /// The maximum number of spans in memory, whether they're open or wait for the
    /// collector. There's no span for anything beyond that. At least 1. Default: 2048.
    pub max_queue_size: u32,
    /// The maximum number of spans in a message to the collector. At least 1.
    /// Default: 512.
    pub max_export_batch_size: u32,
    /// How long ended spans may wait for enough others to fill a message. Default: 5 s.
    pub schedule_delay: Duration,
}

/// The URL of a collector: `http` or `https`, a host, and usually a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtlpEndpoint(String);

/// Decides which calls are traced.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    follows_caller: bool,
    ratio: f64,
}

/// The error if a text isn't a valid [`OtlpEndpoint`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as http://otel-collector:4317 or https://collector.example:4317")]
#[non_exhaustive]
pub struct InvalidOtlpEndpoint;

/// The error if a ratio isn't between 0 and 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected a number from 0 to 1, such as 0.01")]
#[non_exhaustive]
pub struct InvalidRatio;

impl Traces {
    /// Creates the settings for `endpoint`. All others have their defaults.
    pub fn new(endpoint: OtlpEndpoint) -> Self {
        let resource = [
            ("service.name", "fetchd"),
            ("service.version", env!("CARGO_PKG_VERSION")),
        ];
        Self {
            endpoint,
            headers: HeaderMap::new(),
            timeout: Duration::from_secs(10),
            sampler: Sampler::default(),
            resource: resource
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            max_queue_size: 2048,
            max_export_batch_size: 512,
            schedule_delay: Duration::from_secs(5),
        }
    }
}

impl Sampler {
    /// Traces this ratio of all calls, whatever their callers do.
    pub fn ratio(ratio: f64) -> Result<Self, InvalidRatio> {
        let is_valid = (0.0..=1.0).contains(&ratio);
        is_valid
            .then_some(Self {
                follows_caller: false,
                ratio,
            })
            .ok_or(InvalidRatio)
    }

    /// Traces the calls that their callers trace, and of those without a trace this ratio.
    pub fn parent_based(ratio: f64) -> Result<Self, InvalidRatio> {
        Ok(Self {
            follows_caller: true,
            ..Self::ratio(ratio)?
        })
    }

    /// Returns true if the caller's decision counts.
    pub(crate) fn follows_caller(self) -> bool {
        self.follows_caller
    }

    /// Returns the ratio of calls to trace.
    pub(crate) fn sampled_ratio(self) -> f64 {
        self.ratio
    }
}

impl Default for Sampler {
    fn default() -> Self {
        Self {
            follows_caller: true,
            ratio: 1.0,
        }
    }
}

// The ratio is never NaN.
impl Eq for Sampler {}

impl OtlpEndpoint {
    /// Returns the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if connections are encrypted.
    pub(crate) fn is_https(&self) -> bool {
        self.0.starts_with("https:")
    }
}

impl fmt::Display for OtlpEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OtlpEndpoint {
    type Err = InvalidOtlpEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidOtlpEndpoint> {
        let url = Url::parse(text).map_err(|_| InvalidOtlpEndpoint)?;
        let has_only_authority = url.path() == "/"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none();
        let is_accepted = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some()
            && has_only_authority;
        is_accepted
            .then(|| Self(url.into()))
            .ok_or(InvalidOtlpEndpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoint_is_a_scheme_and_an_authority() {
        for text in [
            "http://localhost:4317",
            "https://a.example",
            "http://[::1]:1/",
        ] {
            assert!(text.parse::<OtlpEndpoint>().is_ok(), "{text}");
        }
        for text in [
            "",
            "localhost:4317",
            "grpc://a:4317",
            "http://",
            "http://a:4317/v1/traces",
            "http://a:4317/?x",
            "http://user:pw@a:4317",
        ] {
            assert!(text.parse::<OtlpEndpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn ratio_is_from_0_to_1() {
        for ratio in [0.0, 0.01, 1.0] {
            assert!(Sampler::parent_based(ratio).is_ok());
        }
        for ratio in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(Sampler::ratio(ratio), Err(InvalidRatio));
        }
    }
}
