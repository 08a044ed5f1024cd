//! The settings of a server: plain structs whose defaults are those of the command
//! line. Nothing here reads arguments or the environment.

mod error;
mod limits;
mod origins;
mod proxy;
mod request_limits;

use std::time::Duration;

use http::HeaderValue;

pub use crate::egress::{HostPattern, InvalidHost, Rules as Egress};
pub use error::ConfigError;
pub use limits::Limits;
pub use origins::Origins;
pub use proxy::{InvalidProxy, Proxy};
pub use request_limits::RequestLimits;

/// The settings of a [`Server`](crate::server::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How much work a batch and the process may have in flight.
    pub limits: Limits,
    /// The highest values of the options of a request.
    pub request_limits: RequestLimits,
    /// The destinations that may be reached.
    pub egress: Egress,
    /// How origins are found and trusted, and how connections to them are kept.
    pub origins: Origins,
    /// The `User-Agent` of requests that set none. Default: `fetchd/VERSION`.
    pub user_agent: String,
    /// How long the server goes on accepting batches, although it is not ready, after
    /// a shutdown began. Default: 0 s.
    pub drain_delay: Duration,
    /// How long open batches may then continue. Default: 25 s. After that, unfinished
    /// requests end with `REASON_SHUTTING_DOWN`.
    pub drain_timeout: Duration,
}

impl Config {
    /// Checks each setting against its range and against the other settings.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.limits.validate()?;
        self.request_limits.validate()?;
        self.egress.validate()?;
        self.origins.validate()?;
        self.user_agent_header().map(|_| ())
    }

    /// Returns the user agent as a header value.
    pub(crate) fn user_agent_header(&self) -> Result<HeaderValue, ConfigError> {
        let text = &self.user_agent;
        let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
        let is_legal = !text.is_empty() && text.bytes().all(is_visible);
        let header = HeaderValue::from_str(text).ok().filter(|_| is_legal);
        header.ok_or_else(|| {
            let expected = "expected visible ASCII characters".to_owned();
            ConfigError::new("user-agent", text, expected)
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            request_limits: RequestLimits::default(),
            egress: Egress::default(),
            origins: Origins::default(),
            user_agent: concat!("fetchd/", env!("CARGO_PKG_VERSION")).to_owned(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
        }
    }
}
