//! The flags of `fetchd get`.

use std::{path::PathBuf, time::Duration};

use clap::Arg;
use fetchd::config::{Limits, Proxy};
use ipnet::IpNet;

use crate::cli::{
    credentials::Credentials,
    parse::{self, Data, List, Roots},
};

#[derive(Debug, Clone, clap::Args)]
#[command(mut_args(with_server), after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// URLs to fetch, before those of `--input`
    #[arg(value_name = "URL")]
    pub(super) urls: Vec<String>,

    /// File with one URL or JSON object a line (see below), or `-` for standard input
    #[arg(short, long, value_name = "FILE|-")]
    pub(super) input: Option<PathBuf>,

    /// Maximum number of requests in flight
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = parse::whole_number(1..=Limits::MAX_COUNT)
    )]
    pub(super) concurrency: u32,

    /// Time limit of the whole list [default: none]
    #[arg(long, value_name = "DURATION", value_parser = parse::duration)]
    pub(super) batch_timeout: Option<Duration>,

    #[command(flatten)]
    pub(super) requests: Requests,

    #[command(flatten)]
    pub(super) results: Results,

    #[command(flatten)]
    pub(super) service: Service,
}

/// What to send for each line of the input.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Requests")]
pub(super) struct Requests {
    /// Method of requests that set none [default: GET, or POST with `--data`]
    #[arg(short = 'X', long, value_name = "METHOD")]
    pub(super) method: Option<String>,

    /// Header line of all requests that do not set the same header
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = parse::header)]
    pub(super) headers: Vec<(String, String)>,

    /// File of header lines, which are treated like those of `--header` but do not show in the list
    /// of processes
    #[arg(long = "header-file", value_name = "FILE")]
    pub(super) header_files: Vec<PathBuf>,

    /// Body of requests that set none: the text itself, or the unchanged content of a file or of
    /// standard input. Sent as `application/x-www-form-urlencoded` unless a header says otherwise
    #[arg(short, long, value_name = "TEXT|@FILE|@-", value_parser = parse::data)]
    pub(super) data: Option<Data>,

    /// Time limit of one request, including retries [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = parse::timeout)]
    pub(super) timeout: Option<Duration>,

    /// Time limit of connecting, including DNS and TLS [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = parse::timeout)]
    pub(super) connect_timeout: Option<Duration>,

    /// Maximum time without progress of the origin [default: 15s]
    #[arg(long, value_name = "DURATION", value_parser = parse::timeout)]
    pub(super) idle_timeout: Option<Duration>,

    /// Maximum number of attempts for one request, including the first [default: 3]
    #[arg(long, value_name = "N", value_parser = parse::whole_number(1..=10))]
    pub(super) max_attempts: Option<u32>,

    /// Maximum number of redirects to follow; with 0, a redirect is the result [default: 10]
    #[arg(long, value_name = "N", value_parser = parse::whole_number(0..=20))]
    pub(super) max_redirects: Option<u32>,

    /// Maximum size of a body; a larger one is an error [default: 10MiB]
    #[arg(long, value_name = "SIZE", value_parser = parse::size(0..=1 << 40))]
    pub(super) max_body: Option<u64>,

    /// Cut larger bodies at `--max-body` instead
    #[arg(long)]
    pub(super) truncate: bool,
}

/// What to do with the results.
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Results")]
pub(super) struct Results {
    /// Print results as they arrive
    #[arg(long)]
    pub(super) unordered: bool,

    /// Directory to write bodies to, in files such as `00017-example.com-index.html`: the
    /// id or index, the host and the path
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,

    /// Overwrite files in `--output`; without it, a request whose file exists is not sent
    #[arg(long, requires = "output")]
    pub(super) force: bool,

    /// Do not print bodies
    #[arg(long, conflicts_with = "output")]
    pub(super) no_body: bool,

    /// Count responses with status 400 or above as failures
    #[arg(long)]
    pub(super) fail: bool,

    /// File to write the input lines of all failures to, unchanged, and those that are left after
    /// Ctrl-C (some of which may have reached their origins); `fetchd get -i FILE` tries them
    /// again. It may be the input file itself
    #[arg(long, value_name = "FILE")]
    pub(super) failures: Option<PathBuf>,

    /// File to write a page to, which shows the requests on a time line. It has everything in it,
    /// and the first 100,000 results as rows
    #[arg(long, value_name = "FILE.html")]
    pub(super) report: Option<PathBuf>,

    /// File to write an HTTP archive to (HAR 1.2), which the developer tools of browsers open. It
    /// has no bodies, and no values of headers that may be secret
    #[arg(long, value_name = "FILE")]
    pub(super) har: Option<PathBuf>,

    /// Print neither progress nor a summary
    #[arg(short, long)]
    pub(super) quiet: bool,
}

/// The service to use.
#[derive(Debug, Clone, clap::Args)]
#[command(next_help_heading = "Service")]
pub(super) struct Service {
    /// URL of the service, or of several replicas of it [default: a service inside this process]
    #[arg(long, value_name = "URL,...", value_parser = parse::services)]
    pub(super) server: Option<String>,

    #[command(flatten)]
    pub(super) credentials: Credentials,

    /// Time without an answer from any replica after which the remaining requests fail
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = parse::duration)]
    pub(super) give_up_after: Duration,

    /// Networks that may be reached in addition to public unicast addresses, such as
    /// `127.0.0.0/8`; not available with `--server`, since it is a setting of the service, like the
    /// next two [default: none]
    #[arg(long, value_name = "CIDR,...", conflicts_with = "server")]
    pub(super) allow_net: Vec<List<IpNet>>,

    /// File of PEM root certificates to trust for origins, in addition to the system's roots
    /// [default: none]
    #[arg(long, value_name = "FILE", conflicts_with = "server", value_parser = parse::roots)]
    pub(super) ca_cert: Option<Roots>,

    /// HTTP proxy for all fetches, such as `http://proxy.example:3128`; the proxy variables of the
    /// environment have no effect [default: none]
    #[arg(long, value_name = "URL", conflicts_with = "server")]
    pub(super) proxy: Option<Proxy>,
}

/// The embedded service has no use for credentials.
fn with_server(arg: Arg) -> Arg {
    if Credentials::has(arg.get_id().as_str()) {
        arg.requires("server")
    } else {
        arg
    }
}

const AFTER_HELP: &str = "\
Input: one URL a line, or a JSON object with `url`, and optionally `method`, `headers`
({\"name\": \"value\" or [\"value\", …]}), `body`, and `id` (a string or number that is
repeated in the result). Blank lines and lines that begin with # are skipped. A line of the
output is accepted too: its `url` and `id` are used, and all else that describes its result
is not.

Output: one JSON object a line, in the order of the input: `index`, `id`, `url`; `status`,
`headers`, and `body`, `body_base64` or `file`; `error` with `reason`, `message` and
`retryable`; `final_url` after redirects, `redirects`, `http_version`, `body_bytes`,
`truncated`, `attempts`; `timing`, in milliseconds: `queued`, `earlier` (attempts and redirects
before the last), `dns`, `connect`, `tls`, `first_byte`, `total`, and `connection_reused`.
Credentials are cut from URLs.

Exit code: 0 if all requests got a response (with --fail, one below 400), 1 if at least one
did not or the output cannot be written, 2 on wrong usage, 3 if the call failed as a whole, 130 after Ctrl-C, 143 after
SIGTERM, 141 if nobody reads the output.";
