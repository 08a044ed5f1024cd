//! `fetchd get`: a list of URLs in, a line of JSON for each out, in the order
//! of the input. Without `--server` it runs the service inside itself, called
//! over a connection in memory: the same code path.

mod input;
mod output;
mod summary;

use std::{
    collections::HashMap,
    io,
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use fetchd::{
    client::{self, Client, Error, Fetch, InOrder, Outcome, Request},
    config::{Ceilings, Config, Egress, Limits},
    server::Server,
};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use ipnet::IpNet;
use tokio::{runtime, signal};
use tokio_util::sync::CancellationToken;
use tracing::level_filters::LevelFilter;

use super::{USAGE, Usage, logging, value};
use input::Input;
use output::Output;
use summary::Summary;

#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// What to fetch
    #[arg(value_name = "URL")]
    urls: Vec<String>,

    /// Read URLs, one a line, or JSON Lines ({"url": …, "method": …, "headers": {…}, "body": …})
    /// from a file, or from standard input
    #[arg(short, long, value_name = "FILE|-")]
    input: Option<PathBuf>,

    /// The service to call, or several replicas of it [default: one inside this command]
    #[arg(long, value_name = "URL,...", value_parser = value::services)]
    server: Option<String>,

    /// How many requests may be in flight at once
    #[arg(
        short,
        long,
        value_name = "N",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(Limits::HIGHEST))
    )]
    concurrency: u32,

    /// The method of requests that name none [default: GET, or POST with -d]
    #[arg(short = 'X', long, value_name = "METHOD")]
    method: Option<String>,

    /// A header line of every request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,

    /// The body of requests that have none
    #[arg(short, long, value_name = "DATA")]
    data: Option<String>,

    /// How long one request may take, retries included [default: 30s]
    #[arg(long, value_name = "DURATION", value_parser = value::timeout)]
    timeout: Option<Duration>,

    /// How long everything may take [default: no limit]
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    batch_timeout: Option<Duration>,

    /// How long no replica of the service may answer before everything left counts as lost
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = value::duration)]
    give_up_after: Duration,

    /// How often to try, the first time included [default: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_attempts: Option<u32>,

    /// Print results as they arrive
    #[arg(long)]
    unordered: bool,

    /// Write bodies to files in this directory, named by index
    #[arg(short, long, value_name = "DIR")]
    output: Option<PathBuf>,

    /// Leave bodies out
    #[arg(long, conflicts_with = "output")]
    no_body: bool,

    /// Networks that may be reached though the policy denies them, such as 127.0.0.0/8. A matter
    /// of the service: refused together with --server
    #[arg(long, value_name = "CIDR,...", conflicts_with = "server")]
    allow_net: Vec<value::List<IpNet>>,

    /// No progress and no summary
    #[arg(short, long)]
    quiet: bool,
}

/// How it went, where it could go at all.
enum Ended {
    Done,
    /// Ctrl-C.
    Interrupted,
    /// The first call failed as a whole.
    Refused(Error),
}

/// At least one request has an error.
const SOME_FAILED: u8 = 1;
/// The call failed as a whole, without any result.
const CALL_FAILED: u8 = 3;
/// As shells say it of a process that SIGINT ended.
const INTERRUPTED: u8 = 130;
/// As shells say it of a process that SIGPIPE ended.
const UNREAD: u8 = 141;

/// The most calls that a client has open at once.
const CALLS: u32 = 32;

/// What a connection in memory holds in each direction.
const IN_MEMORY: usize = 256 << 10;

/// Fetches and prints.
pub(super) fn run(args: &Args) -> ExitCode {
    logging::init(None, LevelFilter::WARN);
    super::raise_file_limit();
    if args.urls.is_empty() && args.input.is_none() {
        return Usage::line(
            "nothing to fetch: give URLs, or a list with -i FILE (-i - for standard input)",
        )
        .exit();
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let ran = runtime.context("starting the runtime").and_then(|runtime| {
        let ran = runtime.block_on(get(args));
        // A read of standard input cannot be cancelled, and need not be
        // waited for.
        runtime.shutdown_background();
        ran
    });
    match ran {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            super::say(format_args!("error: {error:#}"));
            ExitCode::from(SOME_FAILED)
        }
    }
}

async fn get(args: &Args) -> anyhow::Result<u8> {
    let (input, output) = match (Input::open(args).await, Output::create(args)) {
        (Ok(input), Ok(output)) => (input, output),
        (Err(error), _) | (_, Err(error)) => {
            super::say(format_args!("error: {error:#}"));
            return Ok(USAGE);
        }
    };
    let mut results = Results {
        output,
        summary: Summary::new(args),
        list: Arc::default(),
        lost: Vec::new(),
        any_result: false,
    };
    let client = match &args.server {
        Some(url) => {
            let builder = Client::builder().give_up_after(args.give_up_after);
            builder.connect(url).await
        }
        None => Ok(embedded(args)?),
    };
    let client = match client {
        Ok(client) => client,
        Err(error) => return Ok(refused(&error)),
    };
    let ended = fetch_all(args, &client, input, &mut results).await;
    match ended {
        Ok(Ended::Refused(_)) => results.summary.clear(),
        _ => results.summary.finish(),
    }
    Ok(match ended {
        Ok(Ended::Refused(error)) => refused(&error),
        Ok(Ended::Interrupted) => INTERRUPTED,
        Ok(Ended::Done) if results.summary.has_errors() => SOME_FAILED,
        Ok(Ended::Done) => 0,
        Err(error) if is_broken_pipe(&error) => UNREAD,
        Err(error) => return Err(error),
    })
}

/// A client of a service inside this process, whose limits are what is asked.
fn embedded(args: &Args) -> anyhow::Result<Client> {
    let config = Config {
        limits: Limits {
            default_concurrency: args.concurrency,
            max_concurrency: args.concurrency,
            // The list goes in a few calls at a time, each of which has a slot.
            max_in_flight: args.concurrency + 2 * CALLS,
            max_batches: Some(CALLS),
            max_request_bytes: Limits::MOST_BYTES,
            max_queued_bytes: Limits::MOST_BYTES,
            ..Limits::default()
        },
        ceilings: Ceilings {
            max_timeout: Ceilings::LONGEST_TIMEOUT,
            ..Ceilings::default()
        },
        egress: Egress {
            allow_net: value::List::joined(&args.allow_net),
            ..Egress::default()
        },
        ..Config::default()
    };
    let server = Server::new(config)?;
    let (near, far) = tokio::io::duplex(IN_MEMORY);
    // Ends with the connection, which the client holds.
    tokio::spawn(server.serve_connection(far, None));
    Ok(Client::over_stream(near))
}

/// Works the input off.
async fn fetch_all(
    args: &Args,
    client: &Client,
    input: Input,
    results: &mut Results,
) -> anyhow::Result<Ended> {
    let interrupted = CancellationToken::new();
    tokio::spawn(heed_interrupts(interrupted.clone()));
    let requests = requests(input, Arc::clone(&results.list));
    let mut fetch = client.fetch_stream(requests).concurrency(args.concurrency);
    if let Some(timeout) = args.batch_timeout {
        fetch = fetch.timeout(timeout);
    }
    let mut outcomes = Outcomes::of(fetch, args.unordered);
    loop {
        let outcome = tokio::select! {
            biased;
            () = interrupted.cancelled() => {
                for outcome in outcomes.arrived() {
                    results.give(outcome)?;
                }
                return Ok(Ended::Interrupted);
            }
            outcome = outcomes.next() => outcome,
        };
        match outcome {
            Some(outcome) => results.give(outcome)?,
            None => break,
        }
    }
    if let Some(problem) = results.list.known().problem.take() {
        return Err(problem);
    }
    Ok(match results.lost.drain(..).find_map(|lost| lost.error) {
        Some(error) => Ended::Refused(error),
        None => Ended::Done,
    })
}

/// The requests of `input`, which `list` notes as they are taken.
fn requests(input: Input, list: Arc<List>) -> impl Stream<Item = Request> + Send + 'static {
    stream::unfold((input, list), |(mut input, list)| async move {
        let next = input.next().await;
        let mut known = list.known();
        let request = match next {
            Ok(Some((url, request))) => {
                let position = known.taken;
                known.urls.insert(position, url);
                known.taken += 1;
                Some(request)
            }
            Ok(None) => None,
            Err(problem) => {
                known.problem = Some(problem);
                None
            }
        };
        drop(known);
        request.map(|request| (request, (input, list)))
    })
}

/// What is known of the list so far.
#[derive(Default)]
struct List(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// How many requests were taken from it.
    taken: usize,
    /// The URLs of those without an outcome.
    urls: HashMap<usize, String>,
    /// Why it ended before its end.
    problem: Option<anyhow::Error>,
}

impl List {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The first Ctrl-C ends the work in order. Another ends the process, also
/// where its output is not read. Ends with the process.
async fn heed_interrupts(interrupted: CancellationToken) {
    let listened = async {
        signal::ctrl_c().await?;
        interrupted.cancel();
        signal::ctrl_c().await
    };
    match listened.await {
        Ok(()) => std::process::exit(INTERRUPTED.into()),
        Err(error) => tracing::warn!(%error, "Ctrl-C ends this at once"),
    }
}

/// The outcomes of one call, in the order that was asked for.
enum Outcomes {
    AsTheyArrive(client::Outcomes),
    InOrder(InOrder),
}

impl Outcomes {
    fn of(fetch: Fetch, unordered: bool) -> Self {
        if unordered {
            Self::AsTheyArrive(fetch.outcomes())
        } else {
            Self::InOrder(fetch.in_order())
        }
    }

    async fn next(&mut self) -> Option<Outcome> {
        match self {
            Self::AsTheyArrive(fetch) => fetch.next().await,
            Self::InOrder(fetch) => fetch.next().await,
        }
    }

    /// What has arrived by now, be it before its turn.
    fn arrived(&mut self) -> Vec<Outcome> {
        let mut arrived = Vec::new();
        while let Some(Some(outcome)) = self.next().now_or_never() {
            arrived.push(outcome);
        }
        if let Self::InOrder(fetch) = self {
            arrived.extend(fetch.take_buffered());
        }
        arrived
    }
}

/// Where outcomes go: to standard output, and into the summary.
struct Results {
    output: Output,
    summary: Summary,
    list: Arc<List>,
    /// Requests that were lost with their call. Held back until there is any
    /// result at all: a call that failed as a whole prints none.
    lost: Vec<Outcome>,
    any_result: bool,
}

impl Results {
    fn give(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        /// The most that are held back: nobody waits for that many to be lost.
        const MOST: usize = 10_000;

        let is_lost = matches!(outcome.error, Some(Error::Call { .. }));
        if is_lost && !self.any_result && self.lost.len() < MOST {
            self.lost.push(outcome);
            return Ok(());
        }
        self.any_result = true;
        for lost in std::mem::take(&mut self.lost) {
            self.print(&lost)?;
        }
        self.print(&outcome)
    }

    fn print(&mut self, outcome: &Outcome) -> anyhow::Result<()> {
        let mut known = self.list.known();
        let url = known.urls.remove(&outcome.index).unwrap_or_default();
        self.summary.expect(known.taken);
        drop(known);
        self.summary.note(outcome);
        let output = &self.output;
        self.summary.aside(|| output.print(&url, outcome))
    }
}

fn refused(error: &Error) -> u8 {
    super::say(format_args!("error: {error}"));
    CALL_FAILED
}

/// The reason of an error, as it is printed.
fn reason(error: &Error) -> &'static str {
    match error {
        Error::Fetch { reason, .. } => {
            let name = reason.as_str_name();
            name.strip_prefix("REASON_").unwrap_or(name)
        }
        Error::Unsendable { .. } => "INVALID_REQUEST",
        _ => "SERVICE_LOST",
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text
        .split_once(':')
        .ok_or_else(|| "a header line such as 'Accept: text/html' is accepted".to_owned())?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
