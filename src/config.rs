//! What an operator can set: plain structs whose defaults are those of the
//! command line. Nothing here reads arguments or the environment.

mod host;
mod proxy;

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use http::HeaderValue;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
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
    /// How long the server is not ready, but accepts all the same, after a
    /// shutdown began. Default: 0 s.
    pub drain_delay: Duration,
    /// How long open batches may go on after that. Default: 25 s. What is
    /// unfinished then ends with `REASON_SHUTTING_DOWN`.
    pub drain_timeout: Duration,
}

/// Limits on work, so that one batch or many cannot exhaust the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// In flight for a batch that names no concurrency. Default: 50.
    pub default_concurrency: u32,
    /// Most in flight for one batch; higher wishes are lowered. Default: 512.
    pub max_concurrency: u32,
    /// Most in flight in the process; what is above waits. Of these, one is kept
    /// for each of `max_batches`. At least 2. Default: 1024.
    pub max_in_flight: u32,
    /// Most in flight to one host (name and port of the request's own URL) in
    /// the process; 0: no limit. Default: 0.
    pub max_per_host: u32,
    /// Most batches at once; above, a call ends with `RESOURCE_EXHAUSTED` and
    /// `RetryInfo`. At least 1, at most half of `max_in_flight`. Default
    /// (`None`): a quarter of `max_in_flight`.
    pub max_batches: Option<u32>,
    /// Most requests in one batch; above, the call ends with
    /// `INVALID_ARGUMENT`. Default: 10,000.
    pub max_batch_requests: u32,
    /// Largest request message in bytes; above, the call ends with
    /// `OUT_OF_RANGE`. Default: 16 MiB.
    pub max_request_bytes: usize,
    /// Request messages that the process holds, in bytes, all batches together;
    /// above, a call ends with `RESOURCE_EXHAUSTED` and `RetryInfo`. At least
    /// `max_request_bytes`. Default: 256 MiB.
    pub max_queued_bytes: usize,
    /// Most connections from callers. Of those above, 64 can ask for health, and
    /// wait up to 20 s for a place with a batch; more wait to be accepted.
    /// Default: 4096.
    pub max_connections: u32,
    /// After how long a caller that takes nothing, while there is something to
    /// take, counts as gone; so does one that takes less than 16 KiB/s while other
    /// callers wait for a slot. Default: 60 s.
    pub stall_timeout: Duration,
    /// After how long, give or take a tenth, a connection is asked to go away,
    /// so that callers spread over new replicas. Open batches finish. Default:
    /// 5 min.
    pub max_connection_age: Duration,
    /// How often a silent caller is asked whether it is there. Default: 20 s.
    pub keepalive_interval: Duration,
    /// How long it may take to answer, before it counts as gone. Default: 10 s.
    pub keepalive_timeout: Duration,
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
    /// Most sockets to origins at once, idle ones included: a fetch that would need
    /// one more ends with `REASON_INTERNAL`. `fetchd serve` sets it so that callers
    /// can still connect. Default (`None`): as many as the system allows.
    pub max_sockets: Option<usize>,
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
        self.limits.validate()?;
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
    /// Refuses networks that would be without effect: of IPv4 inside IPv6, which
    /// is judged as IPv4, and of what is never allowed.
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
        for network in &self.allow_net {
            if let Some((_, form)) = NEVER_ALLOWED.iter().find(|(net, _)| covers(net, network)) {
                let expected = format!("{form} addresses are denied whatever is allowed");
                return Err(ConfigError::new("allow-net", network, expected));
            }
        }
        Ok(())
    }
}

/// Networks that hide IPv4 for a gateway to unpack.
const NEVER_ALLOWED: [(Ipv6Net, &str); 2] = [
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 32),
        "Teredo",
    ),
    (
        Ipv6Net::new_assert(Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
        "6to4",
    ),
];

fn covers(net: &Ipv6Net, network: &IpNet) -> bool {
    matches!(network, IpNet::V6(network) if net.contains(network))
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
            drain_delay: Duration::ZERO,
            drain_timeout: Duration::from_secs(25),
        }
    }
}

impl Limits {
    /// The highest value of any count: an index is a `u32`, and a million
    /// tasks or queued requests are more than one process should hold.
    pub const HIGHEST: u32 = 1_000_000;

    /// The highest value of `max_queued_bytes`: 1 TiB.
    pub const MOST_BYTES: usize = 1 << 40;

    /// The shortest stall timeout and connection age.
    pub const SHORTEST: Duration = Duration::from_millis(100);

    /// Most batches at once.
    pub fn batches(&self) -> u32 {
        self.max_batches
            .unwrap_or_else(|| (self.max_in_flight / 4).max(1))
    }

    fn validate(&self) -> Result<(), ConfigError> {
        let counts = [
            ("default-concurrency", self.default_concurrency, 1),
            ("max-concurrency", self.max_concurrency, 1),
            ("max-in-flight", self.max_in_flight, 2),
            ("max-per-host", self.max_per_host, 0),
            ("max-batches", self.batches(), 1),
            ("max-batch-requests", self.max_batch_requests, 1),
            ("max-connections", self.max_connections, 1),
        ];
        for (flag, count, least) in counts {
            if !(least..=Self::HIGHEST).contains(&count) {
                let highest = Self::HIGHEST;
                let expected = format!("a whole number from {least} to {highest} is accepted");
                return Err(ConfigError::new(flag, count, expected));
            }
        }
        if self.default_concurrency > self.max_concurrency {
            let most = self.max_concurrency;
            let expected = format!("at most --max-concurrency ({most}) is accepted");
            let count = self.default_concurrency;
            return Err(ConfigError::new("default-concurrency", count, expected));
        }
        if self.batches() > self.max_in_flight / 2 {
            let most = self.max_in_flight / 2;
            let expected = format!("at most half of --max-in-flight ({most}) is accepted");
            return Err(ConfigError::new("max-batches", self.batches(), expected));
        }
        if self.max_request_bytes < 1024 {
            let bytes = self.max_request_bytes;
            let expected = "at least 1KiB is accepted".to_owned();
            return Err(ConfigError::new("max-request-bytes", bytes, expected));
        }
        let queued = self.max_queued_bytes;
        if !(self.max_request_bytes..=Self::MOST_BYTES).contains(&queued) {
            let (least, most) = (self.max_request_bytes, Self::MOST_BYTES);
            let expected = format!("{least} (--max-request-bytes) to {most} bytes are accepted");
            return Err(ConfigError::new("max-queued-bytes", queued, expected));
        }
        let times = [
            ("stall-timeout", self.stall_timeout),
            ("max-connection-age", self.max_connection_age),
        ];
        for (flag, time) in times {
            if time < Self::SHORTEST {
                let expected = format!("at least {:?} is accepted", Self::SHORTEST);
                return Err(ConfigError::new(flag, format!("{time:?}"), expected));
            }
        }
        Ok(())
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            default_concurrency: 50,
            max_concurrency: 512,
            max_in_flight: 1024,
            max_per_host: 0,
            max_batches: None,
            max_batch_requests: 10_000,
            max_request_bytes: 16 << 20,
            max_queued_bytes: 256 << 20,
            max_connections: 4096,
            stall_timeout: Duration::from_mins(1),
            max_connection_age: Duration::from_mins(5),
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
        }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self {
            name_servers: Vec::new(),
            extra_roots: Vec::new(),
            proxy: None,
            max_sockets: None,
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
        config
            .egress
            .allow_net
            .push("2002:a00::/24".parse().unwrap());
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("6to4 addresses are denied"), "{error}");
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
