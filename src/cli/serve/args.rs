//! The flags of `fetchd serve`, and what they configure.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

use crate::cli::{
    logging::LogFormat,
    value::{self, List, Listen, Roots},
};
use fetchd::{
    config::{Config, Limits, Origins, Proxy, RequestLimits},
    egress::{HostPattern, Rules},
};

/// Every flag can be set by the environment too: `FETCHD_` and the flag in
/// upper case.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where to listen for gRPC
    #[arg(
        long,
        env = "FETCHD_LISTEN",
        value_name = "ADDR",
        default_value = "127.0.0.1:50051"
    )]
    pub(super) listen: SocketAddr,

    /// Where to listen for HTTP: /metrics, /healthz and /readyz; off: nowhere
    /// [default: 127.0.0.1:9090, or nowhere where that is taken]
    #[arg(long, env = "FETCHD_ADMIN_LISTEN", value_name = "ADDR|off")]
    pub(super) admin_listen: Option<Listen>,

    /// In flight for a batch that names no concurrency
    #[arg(
        long,
        env = "FETCHD_DEFAULT_CONCURRENCY",
        value_name = "N",
        default_value_t = 50
    )]
    default_concurrency: u32,

    /// Most in flight for one batch; higher wishes are lowered
    #[arg(
        long,
        env = "FETCHD_MAX_CONCURRENCY",
        value_name = "N",
        default_value_t = 512
    )]
    max_concurrency: u32,

    /// Most in flight in the process, of which one is kept for each of --max-batches; what is above
    /// waits. Memory for bodies is at most this times 256 KiB
    #[arg(
        long,
        env = "FETCHD_MAX_IN_FLIGHT",
        value_name = "N",
        default_value_t = 1024
    )]
    max_in_flight: u32,

    /// Most in flight to one host in the process; 0: no limit
    #[arg(
        long,
        env = "FETCHD_MAX_PER_HOST",
        value_name = "N",
        default_value_t = 0
    )]
    max_per_host: u32,

    /// Most batches at once; above: `RESOURCE_EXHAUSTED` [default: a quarter of --max-in-flight]
    #[arg(long, env = "FETCHD_MAX_BATCHES", value_name = "N")]
    max_batches: Option<u32>,

    /// Most requests in a batch; above: `INVALID_ARGUMENT`
    #[arg(
        long,
        env = "FETCHD_MAX_BATCH_REQUESTS",
        value_name = "N",
        default_value_t = 10_000
    )]
    max_batch_requests: u32,

    /// Largest request message; above: `OUT_OF_RANGE`
    #[arg(
        long,
        env = "FETCHD_MAX_REQUEST_BYTES",
        value_name = "SIZE",
        default_value = "16MiB",
        value_parser = value::size
    )]
    max_request_bytes: u64,

    /// Request messages held, all batches together; above: `RESOURCE_EXHAUSTED`
    #[arg(
        long,
        env = "FETCHD_MAX_QUEUED_BYTES",
        value_name = "SIZE",
        default_value = "256MiB",
        value_parser = value::size
    )]
    max_queued_bytes: u64,

    /// Most connections from callers; further ones can ask for health, and wait with a batch
    #[arg(
        long,
        env = "FETCHD_MAX_CONNECTIONS",
        value_name = "N",
        default_value_t = 4096
    )]
    max_connections: u32,

    /// After how long a caller counts as gone that takes nothing while there is something to
    /// take, or less than 16 KiB/s while others wait
    #[arg(
        long,
        env = "FETCHD_STALL_TIMEOUT",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = value::duration
    )]
    stall_timeout: Duration,

    /// Ceiling of a request's `max_body_bytes`: higher values are lowered to it
    #[arg(
        long,
        env = "FETCHD_MAX_BODY_BYTES",
        value_name = "SIZE",
        default_value = "1GiB",
        value_parser = value::size
    )]
    max_body_bytes: u64,

    /// Ceiling of a request's timeout: higher values are lowered to it
    #[arg(
        long,
        env = "FETCHD_MAX_TIMEOUT",
        value_name = "DURATION",
        default_value = "10m",
        value_parser = value::timeout
    )]
    max_timeout: Duration,

    /// Networks that may be reached though the policy denies them: by default, only public
    /// unicast addresses may be reached [default: none]
    #[arg(
        long,
        env = "FETCHD_ALLOW_NET",
        value_name = "CIDR,...",
        default_value = "",
        hide_default_value = true
    )]
    allow_net: Vec<List<IpNet>>,

    /// Networks that may never be reached; stronger than --allow-net [default: none]
    #[arg(
        long,
        env = "FETCHD_DENY_NET",
        value_name = "CIDR,...",
        default_value = "",
        hide_default_value = true
    )]
    deny_net: Vec<List<IpNet>>,

    /// The only hosts that URLs may name, *.example.com for all below; what they resolve to is judged
    /// all the same [default: all]
    #[arg(
        long,
        env = "FETCHD_ALLOW_HOST",
        value_name = "HOST,...",
        default_value = "",
        hide_default_value = true
    )]
    allow_host: Vec<List<HostPattern>>,

    /// Hosts that URLs may not name, *.example.com for all below; stronger than --allow-host
    /// [default: none]
    #[arg(
        long,
        env = "FETCHD_DENY_HOST",
        value_name = "HOST,...",
        default_value = "",
        hide_default_value = true
    )]
    deny_host: Vec<List<HostPattern>>,

    /// The only ports that may be reached [default: all]
    #[arg(
        long,
        env = "FETCHD_ALLOW_PORT",
        value_name = "PORT,...",
        default_value = "",
        hide_default_value = true
    )]
    allow_port: Vec<List<u16>>,

    /// A file of PEM certificates that origins may be vouched for by, besides the system's roots
    #[arg(
        long,
        env = "FETCHD_CA_CERT",
        value_name = "FILE",
        default_value = "",
        hide_default_value = true,
        value_parser = value::roots
    )]
    ca_cert: Roots,

    /// An HTTP proxy for all fetches, such as <http://proxy.example:3128>; it resolves the names, so
    /// what they resolve to is its to judge [default: none, whatever the environment says]
    #[arg(
        long,
        env = "FETCHD_PROXY",
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true,
        value_parser = value::proxy
    )]
    // Spelt out, since an `Option` of its own would be clap's to fill.
    proxy: std::option::Option<Proxy>,

    /// User-Agent of requests that set none
    #[arg(
        long,
        env = "FETCHD_USER_AGENT",
        value_name = "TEXT",
        default_value = concat!("fetchd/", env!("CARGO_PKG_VERSION"))
    )]
    user_agent: String,

    /// After how long, give or take a tenth, a connection is asked to go away; open batches finish
    #[arg(
        long,
        env = "FETCHD_MAX_CONNECTION_AGE",
        value_name = "DURATION",
        default_value = "5m",
        value_parser = value::duration
    )]
    max_connection_age: Duration,

    /// After SIGTERM: how long to be not ready, but still accept
    #[arg(
        long,
        env = "FETCHD_DRAIN_DELAY",
        value_name = "DURATION",
        default_value = "0s",
        value_parser = value::delay
    )]
    drain_delay: Duration,

    /// Then: how long open batches may go on; what is unfinished ends with `REASON_SHUTTING_DOWN`
    #[arg(
        long,
        env = "FETCHD_DRAIN_TIMEOUT",
        value_name = "DURATION",
        default_value = "25s",
        value_parser = value::delay
    )]
    drain_timeout: Duration,

    /// Form of the log [default: text on a terminal, else json]
    #[arg(long, env = "FETCHD_LOG_FORMAT", value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,

    /// Threads that work [default: the CPUs that the cgroup grants]
    #[arg(
        long,
        env = "FETCHD_WORKER_THREADS",
        value_name = "N",
        value_parser = clap::value_parser!(u16).range(1..=1024)
    )]
    pub(super) worker_threads: Option<u16>,
}

impl Args {
    /// The settings of the server.
    pub(super) fn config(&self) -> Config {
        Config {
            limits: Limits {
                default_concurrency: self.default_concurrency,
                max_concurrency: self.max_concurrency,
                max_in_flight: self.max_in_flight,
                max_per_host: self.max_per_host,
                max_batches: self.max_batches,
                max_batch_requests: self.max_batch_requests,
                max_request_bytes: usize::try_from(self.max_request_bytes).unwrap_or(usize::MAX),
                max_queued_bytes: usize::try_from(self.max_queued_bytes).unwrap_or(usize::MAX),
                max_connections: self.max_connections,
                stall_timeout: self.stall_timeout,
                max_connection_age: self.max_connection_age,
                ..Limits::default()
            },
            request_limits: RequestLimits {
                max_body_bytes: self.max_body_bytes,
                max_timeout: self.max_timeout,
            },
            egress: Rules {
                allow_net: List::joined(&self.allow_net),
                deny_net: List::joined(&self.deny_net),
                allow_host: List::joined(&self.allow_host),
                deny_host: List::joined(&self.deny_host),
                allow_port: List::joined(&self.allow_port),
            },
            origins: Origins {
                extra_roots: self.ca_cert.0.clone(),
                proxy: self.proxy.clone(),
                ..Origins::default()
            },
            user_agent: self.user_agent.clone(),
            drain_delay: self.drain_delay,
            drain_timeout: self.drain_timeout,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Serve {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_defaults_of_the_flags_are_those_of_the_config() {
        let serve = Serve::try_parse_from(["serve"]).unwrap();
        assert_eq!(serve.args.config(), Config::default());
    }

    #[test]
    fn the_readme_has_every_flag() {
        let readme = include_str!("../../../README.md");
        let command = <Serve as clap::CommandFactory>::command();
        for flag in command.get_arguments().filter_map(clap::Arg::get_long) {
            assert!(readme.contains(&format!("| `--{flag}` |")), "{flag}");
        }
    }
}
