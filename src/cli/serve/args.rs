//! The flags of `fetchd serve` and the config we build from them. Keep the flag table in
//! `docs/serve.md` in sync: its defaults and texts are the same. (A test checks this.)

use std::{ops::RangeInclusive, path::PathBuf, time::Duration};

use clap::ArgMatches;
use ipnet::IpNet;

use super::{environment, help, sources::Sources};
use crate::cli::{
    Usage,
    logging::LogFormat,
    parse::{self, AdminListen, List, ListenAddress, Network, Roots},
};
use fetchd::config::{
    Callers, Config, Egress, HostPattern, Limits, Origins, OtlpEndpoint, Proxy, RequestLimits, Tls,
};

/// The accepted values of most counts.
const COUNTS: RangeInclusive<u32> = 1..=Limits::MAX_COUNT;

/// The accepted sizes of request messages.
const MESSAGE_SIZES: RangeInclusive<u64> =
    Limits::MIN_REQUEST_BYTES as u64..=Limits::MAX_BYTES as u64;

/// The flags. Each can be set by an environment variable too: `FETCHD_` and the
/// flag in upper case.
#[derive(Debug, clap::Args)]
#[command(mut_args(environment::with_variable), mut_args(help::with_heading))]
#[command(after_help = help::AFTER)]
pub(crate) struct Args {
    /// Address of the gRPC listener; a host name such as `localhost:50051` is looked up at the start,
    /// and the first of its addresses that this machine has is used, IPv4 before IPv6
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:50051")]
    pub(super) listen: ListenAddress,

    /// Address of the HTTP listener for the admin page (`/`), `/status.json`, `/metrics`, `/healthz`
    /// and `/readyz`, or `off`; host names as for `--listen`
    /// [default: 127.0.0.1:9090, or off if that port is taken]
    #[arg(long, value_name = "ADDR|off")]
    pub(super) admin_listen: Option<AdminListen>,

    /// Shows the names of the slowest and the most failing hosts on the admin page [default: off]
    #[arg(long, value_parser = parse::switch)]
    admin_hosts: bool,

    /// PEM file of the certificate for callers and its intermediates, which turns on TLS (with HTTP/2
    /// by ALPN); like the next three, it is read again when it changes [default: none]
    #[arg(long, value_name = "FILE", value_parser = parse::file)]
    tls_cert: Option<PathBuf>,

    /// PEM file of the private key of `--tls-cert` [default: none]
    #[arg(long, value_name = "FILE", value_parser = parse::file)]
    tls_key: Option<PathBuf>,

    /// PEM file of root certificates; callers must have a certificate from one of them, whose first
    /// SPIFFE ID or else DNS name identifies callers without a token [default: none]
    #[arg(long, value_name = "FILE", value_parser = parse::file)]
    tls_client_ca: Option<PathBuf>,

    /// File with `name token` a line; a call whose `authorization` header has none of the tokens
    /// fails with `UNAUTHENTICATED`, except for health checks [default: none]
    #[arg(long, value_name = "FILE", value_parser = parse::file)]
    auth_token_file: Option<PathBuf>,

    /// Requests in flight for a batch that sets no concurrency; at most `--max-concurrency`
    /// [default: 50, or `--max-concurrency` if that is lower]
    #[arg(long, value_name = "N", value_parser = parse::whole_number(COUNTS))]
    default_concurrency: Option<u32>,

    /// Maximum number of requests in flight for one batch, to which a higher concurrency is lowered;
    /// at most `--max-in-flight` [default: 512, or `--max-in-flight` if that is lower]
    #[arg(long, value_name = "N", value_parser = parse::whole_number(COUNTS))]
    max_concurrency: Option<u32>,

    /// Maximum number of requests in flight in the process, each with up to 256 KiB of its body in
    /// memory; one slot is reserved for each of `--max-batches`, and further requests wait
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1024,
        value_parser = parse::whole_number(2..=Limits::MAX_COUNT)
    )]
    max_in_flight: u32,

    /// Maximum number of requests in flight to one host (name and port) in the process; 0 means no
    /// limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = parse::whole_number(0..=Limits::MAX_COUNT)
    )]
    max_per_host: u32,

    /// Maximum number of open batches, at most half of `--max-in-flight`; further calls fail with
    /// `RESOURCE_EXHAUSTED` [default: a quarter of `--max-in-flight`]
    #[arg(long, value_name = "N", value_parser = parse::whole_number(1..=Limits::MAX_COUNT / 2))]
    max_batches: Option<u32>,

    /// Maximum number of open batches of one caller (a token's name, a certificate's name, or an
    /// address); further calls fail like those above `--max-batches`; 0 means no limit
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        value_parser = parse::whole_number(0..=Limits::MAX_COUNT)
    )]
    max_batches_per_caller: u32,

    /// Maximum number of requests in a batch; a larger batch fails with `INVALID_ARGUMENT`
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = parse::whole_number(COUNTS))]
    max_batch_requests: u32,

    /// Maximum size of a request message; a larger one fails with `OUT_OF_RANGE`
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = parse::size(MESSAGE_SIZES))]
    max_request_bytes: u64,

    /// Maximum size of the request messages held for all batches together; further calls fail with
    /// `RESOURCE_EXHAUSTED`
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = parse::size(MESSAGE_SIZES))]
    max_queued_bytes: u64,

    /// Maximum number of connections from callers; further ones can check health, and their batches
    /// wait up to 20 s for a free one
    #[arg(long, value_name = "N", default_value_t = 4096, value_parser = parse::whole_number(COUNTS))]
    max_connections: u32,

    /// Age, plus or minus a tenth, at which a connection is asked to close so that callers spread
    /// over new replicas; open batches finish
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = parse::long_duration)]
    max_connection_age: Duration,

    /// Time after which a batch fails with `RESOURCE_EXHAUSTED` if its caller reads none of the
    /// available results, or less than 16 KiB/s of them while other callers wait
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = parse::long_duration)]
    stall_timeout: Duration,

    /// Maximum `max_body_bytes` of a request; higher values are lowered to this
    #[arg(long, value_name = "SIZE", default_value = "1GiB", value_parser = parse::size(0..=u64::MAX))]
    max_body_bytes: u64,

    /// Maximum `timeout` of a request; higher values are lowered to this
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = parse::timeout)]
    max_timeout: Duration,

    /// Networks that may be reached in addition to public unicast addresses, such as `10.0.0.0/8`;
    /// without a prefix, a single address [default: none]
    #[arg(long, value_name = "CIDR,...")]
    pub(super) allow_net: Vec<List<Network>>,

    /// Networks that are never reached, written like those of `--allow-net`, which this overrides
    /// [default: none]
    #[arg(long, value_name = "CIDR,...")]
    pub(super) deny_net: Vec<List<Network>>,

    /// The only hosts that URLs may name, with `*.example.com` for all names below `example.com`;
    /// their addresses are still checked [default: all]
    #[arg(long, value_name = "HOST,...")]
    allow_host: Vec<List<HostPattern>>,

    /// Hosts that URLs may not name, with `*.example.com` for all names below `example.com`;
    /// overrides `--allow-host` [default: none]
    #[arg(long, value_name = "HOST,...")]
    deny_host: Vec<List<HostPattern>>,

    /// The only ports that may be reached [default: all]
    #[arg(long, value_name = "PORT,...")]
    allow_port: Vec<List<u16>>,

    /// File of PEM root certificates to trust for origins, in addition to the system's roots
    /// [default: none]
    #[arg(
        long,
        value_name = "FILE",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::roots
    )]
    ca_cert: Roots,

    /// HTTP proxy for all fetches, such as `http://proxy.example:3128`, which looks up host names and
    /// must therefore check their addresses; the proxy variables of the environment have no effect
    /// [default: none]
    #[arg(
        long,
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        hide_env_values = true,
        value_parser = parse::proxy
    )]
    // We have to spell this out as `std::option::Option`. With a plain `Option`, clap
    // would think that the flag may be missing. In our case it's the parser that returns
    // an `Option`, since the value may be empty.
    proxy: std::option::Option<Proxy>,

    /// `User-Agent` of requests that set none
    #[arg(
        long,
        value_name = "TEXT",
        default_value = concat!("fetchd/", env!("CARGO_PKG_VERSION"))
    )]
    user_agent: String,

    /// Time after SIGTERM or SIGINT during which the service reports that it is not ready, but still
    /// accepts batches
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = parse::delay)]
    drain_delay: Duration,

    /// Time for open batches to finish after that; unfinished requests then end with
    /// `REASON_SHUTTING_DOWN`
    #[arg(long, value_name = "DURATION", default_value = "25s", value_parser = parse::delay)]
    drain_timeout: Duration,

    /// OpenTelemetry collector that takes traces over OTLP/gRPC, such as
    /// `http://otel-collector:4317`; the `OTEL_` variables set the rest [default: none]
    #[arg(
        long,
        value_name = "URL",
        default_value = "",
        hide_default_value = true,
        value_parser = parse::otlp_endpoint
    )]
    // Spelt out for the same reason as `proxy`.
    pub(super) otlp_endpoint: std::option::Option<OtlpEndpoint>,

    /// Format of the log [default: text on a terminal, else json]
    #[arg(long, value_name = "FORMAT")]
    pub(super) log_format: Option<LogFormat>,

    /// Number of worker threads, from 1 to 1024 [default: the CPUs that the cgroup grants]
    #[arg(long, value_name = "N", value_parser = parse::whole_number(1..=1024))]
    pub(super) worker_threads: Option<u32>,

    /// Where these come from
    #[arg(skip)]
    pub(super) sources: Sources,
}

impl Args {
    /// Records where the settings came from.
    pub(crate) fn note_sources(&mut self, matches: &ArgMatches) {
        self.sources = Sources::of(matches);
    }

    /// Checks flags that contradict each other but would make a valid config.
    pub(super) fn check(&self) -> Result<(), Usage> {
        let most = self.max_in_flight;
        for (flag, concurrency) in [
            ("--default-concurrency", self.default_concurrency),
            ("--max-concurrency", self.max_concurrency),
        ] {
            if let Some(concurrency) = concurrency.filter(|concurrency| *concurrency > most) {
                return Err(Usage::new(format_args!(
                    "{flag}: expected at most --max-in-flight ({most}), got \"{concurrency}\""
                )));
            }
        }
        for (flag, file, needed, other) in [
            ("--tls-cert", &self.tls_cert, "--tls-key", &self.tls_key),
            ("--tls-key", &self.tls_key, "--tls-cert", &self.tls_cert),
            (
                "--tls-client-ca",
                &self.tls_client_ca,
                "--tls-cert",
                &self.tls_cert,
            ),
        ] {
            if let (Some(file), None) = (file, other) {
                let file = file.display();
                return Err(Usage::new(format_args!(
                    "{flag}: expected {needed} as well, got only \"{file}\""
                )));
            }
        }
        Ok(())
    }

    /// Builds the server config. It hasn't been validated at this point.
    pub(super) fn config(&self) -> Config {
        // Defaults follow the limits that were set. Otherwise, whoever lowers one limit
        // would get an error about a flag that they haven't used.
        let defaults = Limits::default();
        let max_concurrency = self
            .max_concurrency
            .unwrap_or(defaults.max_concurrency.min(self.max_in_flight));
        let default_concurrency = self
            .default_concurrency
            .unwrap_or(defaults.default_concurrency.min(max_concurrency));
        Config {
            limits: Limits {
                default_concurrency,
                max_concurrency,
                max_in_flight: self.max_in_flight,
                max_per_host: self.max_per_host,
                max_batches: self.max_batches,
                max_batches_per_caller: self.max_batches_per_caller,
                max_batch_requests: self.max_batch_requests,
                max_request_bytes: usize::try_from(self.max_request_bytes).unwrap_or(usize::MAX),
                max_queued_bytes: usize::try_from(self.max_queued_bytes).unwrap_or(usize::MAX),
                max_connections: self.max_connections,
                stall_timeout: self.stall_timeout,
                max_connection_age: self.max_connection_age,
                ..defaults
            },
            request_limits: RequestLimits {
                max_body_bytes: self.max_body_bytes,
                max_timeout: self.max_timeout,
            },
            egress: Egress {
                allow_net: networks(&self.allow_net),
                deny_net: networks(&self.deny_net),
                allow_host: List::concat(&self.allow_host),
                deny_host: List::concat(&self.deny_host),
                allow_port: List::concat(&self.allow_port),
            },
            origins: Origins {
                extra_roots: self.ca_cert.0.clone(),
                proxy: self.proxy.clone(),
                ..Origins::default()
            },
            callers: self.callers(),
            admin_hosts: self.admin_hosts,
            user_agent: self.user_agent.clone(),
            drain_delay: self.drain_delay,
            drain_timeout: self.drain_timeout,
            // These also depend on the environment.
            traces: None,
        }
    }

    fn callers(&self) -> Callers {
        let pair = self.tls_cert.clone().zip(self.tls_key.clone());
        Callers {
            tls: pair.map(|(cert, key)| Tls {
                cert,
                key,
                client_ca: self.tls_client_ca.clone(),
            }),
            token_file: self.auth_token_file.clone(),
        }
    }
}

fn networks(lists: &[List<Network>]) -> Vec<IpNet> {
    let networks = List::concat(lists).into_iter();
    networks.map(|network| network.net).collect()
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command, FromArgMatches};

    use super::*;

    fn command() -> Command {
        <Args as clap::Args>::augment_args(Command::new("serve"))
    }

    /// Returns the table row for `arg`.
    fn table_row(arg: &Arg) -> String {
        let help = arg.get_help().unwrap().to_string();
        let value = arg.get_default_values().first();
        let value = value.map(|value| format!("`{}`", value.display()));
        let (text, default) = match help.split_once(" [default: ") {
            Some((text, default)) => (text, default.trim_end_matches(']').to_owned()),
            None => (help.as_str(), value.unwrap()),
        };
        // The default of `--user-agent` includes our version.
        let default = default.replace(env!("CARGO_PKG_VERSION"), "VERSION");
        let flag = arg.get_long().unwrap();
        format!("| `--{flag}` | {default} | {text} |\n")
    }

    #[test]
    fn the_defaults_are_those_of_the_config() {
        let matches = command().try_get_matches_from(["serve"]).unwrap();
        let args = Args::from_arg_matches(&matches).unwrap();
        assert_eq!(args.config(), Config::default());
    }

    #[test]
    fn defaults_are_lowered_to_the_limits_that_are_set() {
        for (flags, default, max, batches) in [
            (&["--max-in-flight", "100"][..], 50, 100, 25),
            (&["--max-in-flight", "2"], 2, 2, 1),
            (&["--max-concurrency", "20"], 20, 20, 256),
            (
                &["--max-in-flight", "600", "--max-concurrency", "600"],
                50,
                600,
                150,
            ),
            (&["--default-concurrency", "512"], 512, 512, 256),
        ] {
            let flags = [&["serve"], flags].concat();
            let matches = command().try_get_matches_from(flags).unwrap();
            let args = Args::from_arg_matches(&matches).unwrap();
            let config = args.config();
            assert!(args.check().is_ok() && config.validate().is_ok());
            let limits = config.limits;
            let concurrency = (limits.default_concurrency, limits.max_concurrency);
            assert_eq!(concurrency, (default, max));
            assert_eq!(limits.batches(), batches);
        }
    }

    #[test]
    fn the_documentation_has_the_table_of_flags() {
        let page = include_str!("../../../docs/serve.md");
        let command = command();
        let table: String = command.get_arguments().map(table_row).collect();
        assert!(page.contains(&table), "docs/serve.md needs this:\n{table}");
    }
}
