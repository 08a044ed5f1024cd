//! `fetchd get` fetches a list of URLs and prints one JSON object per line for each, in
//! input order by default.
//!
//! Without `--server`, we start the service inside this process and call it over an
//! in-memory connection. That way both modes run the same code.

mod args;
mod body_files;
pub(super) mod embedded;
mod exports;
mod failures;
mod final_url;
mod har;
mod header_values;
mod input;
mod interrupt;
mod new_file;
mod outcomes;
mod output;
mod pending;
mod phases;
mod progress;
mod report;
mod results;
mod summary;
mod template;

use std::{io, process::ExitCode, time::Duration};

use anyhow::Context;
use fetchd::client::{Client, Error};
use tokio::{
    runtime,
    time::{self, MissedTickBehavior},
};
use tracing::level_filters::LevelFilter;

use super::{Usage, exit_code, logging, parse::Data, print_error};
pub(crate) use args::Args;
use args::Service;
use body_files::BodyFiles;
use exports::Exports;
use failures::Failures;
use input::Input;
use interrupt::Interrupt;
use outcomes::Outcomes;
use output::Output;
pub(super) use output::result_line;
use results::Results;

/// How a list ended.
enum End {
    Complete,
    /// We were interrupted, and this is the exit code.
    Interrupted(u8),
    /// The call failed before we had any result.
    CallFailed(Error),
}

/// How often we update the progress line.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(200);

/// Fetches the list and prints the results.
pub(super) fn run(args: &Args) -> ExitCode {
    logging::init(None, LevelFilter::WARN);
    let files = super::raise_file_limit();
    if let Err(usage) = check(args) {
        return usage.exit();
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let got = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let got = runtime.block_on(get(args, files));
            // We may still be reading stdin. tokio can't cancel that read, so don't wait
            // for it.
            runtime.shutdown_background();
            got
        });
    match got {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            print_error(format_args!("error: {error:#}"));
            ExitCode::from(exit_code::FAILED)
        }
    }
}

fn check(args: &Args) -> Result<(), Usage> {
    if args.urls.is_empty() && args.input.is_none() {
        return Err(Usage::new(
            "expected URLs, or a list with -i FILE (-i - for standard input)",
        ));
    }
    let reads_stdin = args.input.as_ref().is_some_and(|path| path == "-");
    if reads_stdin && args.requests.data == Some(Data::Stdin) {
        return Err(Usage::new(
            "expected one of --input and --data to read standard input, got both",
        ));
    }
    let Service {
        server,
        credentials,
        ..
    } = &args.service;
    server
        .as_ref()
        .map_or(Ok(()), |urls| credentials.check(urls))
}

/// Fetches the list, prints the results and returns the exit code.
async fn get(args: &Args, files: Option<usize>) -> anyhow::Result<u8> {
    let mut results = match open(args).await {
        Ok(results) => results,
        Err(error) => {
            print_error(format_args!("error: {error:#}"));
            return Ok(exit_code::USAGE);
        }
    };
    let end = match connect(args, files).await? {
        Ok(client) => fetch_all(args, &client, &mut results).await,
        Err(error) => Ok(End::CallFailed(error)),
    };
    if let Ok(End::CallFailed(error)) = &end {
        results.finish(Some(error)).await?;
        print_error(format_args!("error: {error}"));
        return Ok(exit_code::CALL_FAILED);
    }
    let finished = results.finish(None).await;
    match end {
        Err(error) if is_broken_pipe(&error) => return Ok(exit_code::BROKEN_PIPE),
        Err(error) => return Err(error),
        Ok(_) => finished?,
    }
    match end {
        Ok(End::Interrupted(code)) => Ok(code),
        _ if results.has_failures() => Ok(exit_code::FAILED),
        _ => Ok(0),
    }
}

/// Opens all files that the arguments name.
async fn open(args: &Args) -> anyhow::Result<Results> {
    let input = Input::open(args).await?;
    let body_files = BodyFiles::create(&args.results)?;
    let failures = match &args.results.failures {
        Some(path) => Some(Failures::create(path)?),
        None => None,
    };
    let exports = Exports::create(args)?;
    let output = Output::new(&args.results, body_files);
    Ok(Results::new(args, input, output, failures, exports).await)
}

/// Connects to the service, or starts it in this process.
async fn connect(args: &Args, files: Option<usize>) -> anyhow::Result<Result<Client, Error>> {
    let Some(urls) = &args.service.server else {
        return Ok(Ok(embedded::start(args, files)?));
    };
    let builder = Client::builder().give_up_after(args.service.give_up_after);
    let builder = args.service.credentials.add_to(builder);
    Ok(builder.connect(urls).await)
}

/// Fetches everything in the input and passes each outcome to `results` when its turn
/// comes.
async fn fetch_all(args: &Args, client: &Client, results: &mut Results) -> anyhow::Result<End> {
    let interrupt = Interrupt::listen();
    let mut fetch = client
        .fetch_stream(results.requests())
        .concurrency(args.concurrency);
    if let Some(timeout) = args.batch_timeout {
        fetch = fetch.timeout(timeout);
    }
    let mut outcomes = Outcomes::new(fetch, args.results.unordered);
    let mut ticks = time::interval(PROGRESS_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = interrupt.received() => {
                for outcome in outcomes.take_arrived() {
                    results.add(outcome)?;
                }
                results.print_lost()?;
                return Ok(End::Interrupted(interrupt.exit_code()));
            }
            _ = ticks.tick() => {
                results.show_progress(outcomes.early(), outcomes.outage().as_ref());
            }
            outcome = outcomes.next() => match outcome {
                Some(outcome) => results.add(outcome)?,
                None => break,
            },
        }
    }
    if let Some(error) = results.take_input_error() {
        return Err(error);
    }
    Ok(match results.take_call_error() {
        Some(error) => End::CallFailed(error),
        None => End::Complete,
    })
}

/// Returns true if the reader of our output has closed it.
pub(super) fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
