//! The flags of `fetchd get`.

use std::{path::PathBuf, time::Duration};

use fetchd::config::Limits;
use ipnet::IpNet;

use crate::cli::parse::{self, List};

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// URLs to fetch, before those of `--input`
    #[arg(value_name = "URL")]
    pub(super) urls: Vec<String>,

    /// File with one URL a line or JSON Lines ({"url": …, "method": …, "headers": {…}, "body": …}),
    /// or `-` for standard input
    #[arg(short, long, value_name = "FILE|-")]
    pub(super) input: Option<PathBuf>,

    /// URL of the service, or of several replicas of it [default: a service inside this process]
    #[arg(long, value_name = "URL,...", value_parser = parse::services)]
    pub(super) server: Option<String>,

    /// Maximum number of requests in flight
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = parse::whole_number(1..=Limits::HIGHEST)
    )]
    pub(super) concurrency: u32,

    /// Method of requests that set none [default: GET, or POST with `--data`]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(super) method: Option<String>,

    /// Header line of all requests that do not set the same header
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse::header)]
    pub(super) headers: Vec<(String, String)>,

    /// Body of requests that set none
    #[arg(short, long, value_name = "DATA")]
    pub(super) data: Option<String>,

    /// Time limit of one request, including retries [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse::timeout)]
    pub(super) timeout: Option<Duration>,

    /// Time limit of the whole list [default: none]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub(super) batch_timeout: Option<Duration>,

    /// Time without an answer from any replica after which the remaining requests fail
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse::duration)]
    pub(super) give_up_after: Duration,

    /// Maximum number of attempts for one request, including the first [default: 3]
    #[arg(long, value_name = "N", value_parser = parse::whole_number(1..=u32::MAX))]
    pub(super) max_attempts: Option<u32>,

    /// Print results as they arrive
    #[arg(long)]
    pub(super) unordered: bool,

    /// Directory to write bodies to, in files named after the index
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,

    /// Do not print bodies
    #[arg(long, conflicts_with = "output")]
    pub(super) no_body: bool,

    /// Networks that may be reached in addition to public unicast addresses, such as
    /// `127.0.0.0/8`; not available with `--server`, since it is a setting of the service
    /// [default: none]
    #[arg(long, value_name = "CIDR,...", conflicts_with = "server")]
    pub(super) allow_net: Vec<List<IpNet>>,

    /// Print neither progress nor a summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}
