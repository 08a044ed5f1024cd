//! Server configuration.
//!
//! These are just plain structs. Their defaults are the same as on the command line, but
//! nothing in here reads any arguments or the environment.

mod callers;
mod error;
mod limits;
mod origins;
mod proxy;
mod request_limits;
mod traces;

use std::time::Duration;

use http::HeaderValue;

pub use crate::egress::{HostPattern, InvalidHost, Rules as Egress};
pub use callers::{Callers, Tls};
pub use error::ConfigError;
pub use limits::Limits;
pub use origins::Origins;
pub use proxy::{InvalidProxy, Proxy};
pub use request_limits::RequestLimits;
pub use traces::{InvalidOtlpEndpoint, InvalidRatio, OtlpEndpoint, Sampler, Traces};

/// The configuration of a [`Server`](crate::server::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How much work a single batch and the whole process may have in flight.
    pub limits: Limits,
    /// Upper limits for request options.
    pub request_limits: RequestLimits,
    /// Which destinations may be reached.
    pub egress: Egress,
    /// How to find and trust origins, and how to keep connections to them.
    pub origins: Origins,
    /// How callers prove who they are.
    pub callers: Callers,
    /// Whether the admin page shows the names of the slowest and the most failing hosts.
    /// They're kept in memory for up to 15 minutes, at most 512 of them. Default: false.
    pub admin_hosts: bool,
    /// The `User-Agent` for requests that don't set one themselves.
    /// Default: `fetchd/VERSION`.
    pub user_agent: String,
    /// After a shutdown has begun, the server reports that it isn't ready but still
    /// accepts batches for this long. Default: 0 s.
    pub drain_delay: Duration,
    /// After `drain_delay`, how much longer open batches may continue. Any request that's
    /// still unfinished then ends with `REASON_SHUTTING_DOWN`. Default: 25 s.
    pub drain_timeout: Duration,
    /// Where to send traces, if anywhere. Default: `None`.
    pub traces: Option<Traces>,
}

impl Config {
    /// Checks that every setting is within its range, and that they go together.
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
            callers: Callers::default(),
            admin_hosts: false,
            user_agent: concat!("fetchd/", env!("CARGO_PKG_VERSION")).to_owned(),
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
            traces: None,
        }
    }
}
