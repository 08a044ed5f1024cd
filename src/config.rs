//! What an operator can set: plain structs whose defaults are those of the
//! command line. Nothing here reads arguments or the environment.

mod host;
mod proxy;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use http::HeaderValue;
use ipnet::{IpNet, Ipv4Net};
use rustls::{RootCertStore, pki_types::CertificateDer};

pub use host::{HostPattern, InvalidHost};
pub use proxy::{InvalidProxy, Proxy};

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

/// Which destinations may be reached: by default public unicast addresses, of
/// any name, on any port.
///
/// What is in two lists: an own address of the service before `deny_net`, that
/// before `allow_net`, that before the default; `deny_host` before `allow_host`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Egress {
    /// Networks that may be reached though the policy denies them. Default:
    /// none.
    pub allow_net: Vec<IpNet>,
    /// Networks that may never be reached. Default: none.
    pub deny_net: Vec<IpNet>,
    /// Where it is not empty, the only hosts that may be named in a URL. What
    /// they resolve to is judged all the same. Default: empty.
    pub allow_host: Vec<HostPattern>,
    /// Hosts that may not be named in a URL. Default: none.
    pub deny_host: Vec<HostPattern>,
    /// Where it is not empty, the only ports that may be reached. Default:
    /// empty.
    pub allow_port: Vec<u16>,
}

/// How origins are found, trusted and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origins {
    /// The name servers to ask. Default: none, which means the system's.
    pub name_servers: Vec<SocketAddr>,
    /// Root certificates (DER) that are trusted besides the system's. Default:
    /// none.
    pub extra_roots: Vec<Vec<u8>>,
    /// A proxy for all fetches. It resolves the names, so that what they resolve
    /// to is its to judge; hosts, ports and addresses in URLs are judged here.
    /// Default: none, whatever the environment says.
    pub proxy: Option<Proxy>,
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
        self.egress.validate()?;
        self.origins.validate()?;
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

impl Egress {
    /// IPv4 inside IPv6 is judged as IPv4, so a network of it would be without
    /// effect.
    fn validate(&self) -> Result<(), ConfigError> {
        let lists = [("allow-net", &self.allow_net), ("deny-net", &self.deny_net)];
        for (flag, networks) in lists {
            for network in networks {
                if let Some(inner) = inside_ipv6(network) {
                    let expected = format!("IPv4 inside IPv6 is judged as IPv4: write {inner}");
                    return Err(ConfigError::new(flag, network, expected));
                }
            }
        }
        Ok(())
    }
}

impl Origins {
    fn validate(&self) -> Result<(), ConfigError> {
        for (position, root) in self.extra_roots.iter().enumerate() {
            let added = RootCertStore::empty().add(CertificateDer::from(root.as_slice()));
            if let Err(error) = added {
                let certificate = format!("certificate {}", position + 1);
                let expected = format!("X.509 certificates are accepted ({error})");
                return Err(ConfigError::new("ca-cert", certificate, expected));
            }
        }
        Ok(())
    }
}

/// The IPv4 network that a network of mapped or translated addresses stands for
/// (RFC 4291, RFC 6052).
fn inside_ipv6(network: &IpNet) -> Option<Ipv4Net> {
    let IpNet::V6(network) = network else {
        return None;
    };
    let prefix = network.prefix_len().checked_sub(96)?;
    let [.., high, low] = network.network().segments();
    let start = u128::from(network.network()) >> 32;
    let is_embedding = start == 0xffff || start == 0x0064_ff9b << 64;
    let [a, b] = high.to_be_bytes();
    let [c, d] = low.to_be_bytes();
    let inner = Ipv4Net::new(Ipv4Addr::new(a, b, c, d), prefix).ok();
    inner.filter(|_| is_embedding)
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
            proxy: None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_of_ipv4_inside_ipv6_are_refused_by_the_name_of_the_inner_one() {
        for (network, inner) in [
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("64:ff9b::7f00:1/128", "127.0.0.1/32"),
            ("64:ff9b::/96", "0.0.0.0/0"),
        ] {
            let mut config = Config::default();
            config.egress.allow_net.push(network.parse().unwrap());
            let error = config.validate().unwrap_err().to_string();
            assert!(error.ends_with(&format!("write {inner}")), "{error}");
        }
        let mut config = Config::default();
        for network in ["::/0", "fd00::/8", "::1/128", "2001:db8::/96"] {
            config.egress.allow_net.push(network.parse().unwrap());
        }
        assert!(config.validate().is_ok());
    }

    #[test]
    fn a_root_that_is_no_certificate_is_refused() {
        let mut config = Config::default();
        config.origins.extra_roots.push(b"nonsense".to_vec());
        let error = config.validate().unwrap_err().to_string();
        assert!(
            error.starts_with("invalid value 'certificate 1' for '--ca-cert'"),
            "{error}"
        );
    }
}
