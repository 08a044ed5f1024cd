//! What an operator can set: plain structs whose defaults are those of the
//! command line. Nothing here reads arguments or the environment.

use std::{fmt, net::SocketAddr, time::Duration};

use http::HeaderValue;
use ipnet::IpNet;

/// The settings of a [`Server`](crate::server::Server).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many requests one batch, and the process, may have under way.
    pub limits: Limits,
    /// What a request is allowed to ask for.
    pub ceilings: Ceilings,
    /// Which destinations may be reached.
    pub egress: Egress,
    /// How origins are found, trusted and kept.
    pub origins: Origins,
    /// `User-Agent` of requests that set none. Default: `fetchd/VERSION`.
    pub user_agent: String,
    /// How long open batches may go on after a shutdown began. Default: 25 s.
    /// What is unfinished then ends with `REASON_SHUTTING_DOWN`.
    pub drain_timeout: Duration,
}

/// Limits on work, so that one batch or many cannot exhaust the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// In flight for a batch that names no concurrency. Default: 50.
    pub default_concurrency: u32,
    /// Most in flight for one batch; higher wishes are lowered. Default: 512.
    pub max_concurrency: u32,
    /// Most in flight in the process; what is above waits. Default: 1024.
    pub max_in_flight: u32,
    /// Most requests in one batch; above, the call ends with
    /// `INVALID_ARGUMENT`. Default: 10,000.
    pub max_batch_requests: u32,
    /// Largest request message in bytes; above, the call ends with
    /// `OUT_OF_RANGE`. Default: 16 MiB.
    pub max_request_bytes: usize,
}

/// Ceilings of per-request options. Higher values are lowered to them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ceilings {
    /// Of `max_body_bytes`. Default: 1 GiB.
    pub max_body_bytes: u64,
    /// Of `timeout`. Default: 10 min.
    pub max_timeout: Duration,
}

/// Exceptions from the default egress policy, which allows public unicast
/// addresses only.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// Networks that may be reached though the policy denies them. Default:
    /// none.
    pub allow_net: Vec<IpNet>,
}

/// How origins are found, trusted and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The name servers to ask. Default: none, which means the system's.
    pub name_servers: Vec<SocketAddr>,
    /// Root certificates (DER) that are trusted besides the system's. Default:
    /// none.
    pub extra_roots: Vec<Vec<u8>>,
    /// How long an idle connection is kept. Default: 4 s, below the 5 s after
    /// which common servers close theirs, so that few requests meet a
    /// connection that closes.
    pub pool_idle_timeout: Duration,
}

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("invalid value '{value}' for '--{flag}': {expected}")]
pub struct ConfigError {
    flag: &'static str,
    value: String,
    expected: String,
}

impl Config {
    /// Checks every setting against its range and against the others.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        let counts = [
            ("default-concurrency", limits.default_concurrency),
            ("max-concurrency", limits.max_concurrency),
            ("max-in-flight", limits.max_in_flight),
            ("max-batch-requests", limits.max_batch_requests),
        ];
        for (flag, count) in counts {
            if count == 0 || count > Limits::HIGHEST {
                let expected = format!("a whole number from 1 to {} is accepted", Limits::HIGHEST);
                return Err(ConfigError::new(flag, count, expected));
            }
        }
        if limits.default_concurrency > limits.max_concurrency {
            let expected = format!(
                "at most --max-concurrency ({}) is accepted",
                limits.max_concurrency
            );
            return Err(ConfigError::new(
                "default-concurrency",
                limits.default_concurrency,
                expected,
            ));
        }
        if limits.max_request_bytes < 1024 {
            let expected = "at least 1KiB is accepted".to_owned();
            return Err(ConfigError::new(
                "max-request-bytes",
                limits.max_request_bytes,
                expected,
            ));
        }
        let longest = Ceilings::LONGEST_TIMEOUT;
        if self.ceilings.max_timeout.is_zero() || self.ceilings.max_timeout > longest {
            let expected = "more than 0s and at most 1day is accepted".to_owned();
            let value = format!("{:?}", self.ceilings.max_timeout);
            return Err(ConfigError::new("max-timeout", value, expected));
        }
        self.user_agent_header().map(|_| ())
    }

    /// The user agent as it is sent.
    pub(crate) fn user_agent_header(&self) -> Result<HeaderValue, ConfigError> {
        let is_visible = |byte: u8| (b' '..=b'~').contains(&byte);
        let text = &self.user_agent;
        let is_legal = !text.is_empty() && text.bytes().all(is_visible);
        let header = HeaderValue::from_str(text).ok().filter(|_| is_legal);
        header.ok_or_else(|| {
            let expected = "visible ASCII characters are accepted".to_owned();
            ConfigError::new("user-agent", text, expected)
        })
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            ceilings: Ceilings::default(),
            egress: Egress::default(),
            origins: Origins::default(),
            user_agent: concat!("fetchd/", env!("CARGO_PKG_VERSION")).to_owned(),
            drain_timeout: Duration::from_secs(25),
        }
    }
}

impl Limits {
    /// The highest value of any count: an index is a `u32`, and a million
    /// tasks or queued requests are more than one process should hold.
    pub const HIGHEST: u32 = 1_000_000;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_concurrency: 50,
            max_concurrency: 512,
            max_in_flight: 1024,
            max_batch_requests: 10_000,
            max_request_bytes: 16 << 20,
        }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self {
            name_servers: Vec::new(),
            extra_roots: Vec::new(),
            pool_idle_timeout: Duration::from_secs(4),
        }
    }
}

impl Ceilings {
    /// The highest value of `max_timeout`.
    pub const LONGEST_TIMEOUT: Duration = Duration::from_hours(24);
}

impl Default for Ceilings {
    fn default() -> Self {
        Self {
            max_body_bytes: 1 << 30,
            max_timeout: Duration::from_mins(10),
        }
    }
}

impl ConfigError {
    fn new(flag: &'static str, value: impl fmt::Display, expected: String) -> Self {
        Self {
            flag,
            value: value.to_string(),
            expected,
        }
    }
}
