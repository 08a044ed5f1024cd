//! `fetchd get` fetches a list of URLs and prints one JSON object per line for each, in
//! input order by default.
//!
//! Without `--server`, we start the service inside this process and call it over an
//! in-memory connection. That way both modes run the same code.

mod args;
mod embedded;
mod header_values;
mod input;
mod interrupt;
mod outcomes;
mod output;
mod pending;
mod results;
mod summary;

use std::{io, process::ExitCode};

use anyhow::Context;
use fetchd::client::{Client, Error};
use tokio::runtime;
use tracing::level_filters::LevelFilter;

use super::{Usage, exit_code, logging, print_error};
pub(crate) use args::Args;
use input::Input;
use outcomes::Outcomes;
use output::Output;
use results::Results;

/// How a list ended.
enum End {
    Complete,
    Interrupted,
    /// The call failed before we had any result.
    CallFailed(Error),
}

/// Fetches the list and prints the results.
pub(super) fn run(args: &Args) -> ExitCode {
    logging::init(None, LevelFilter::WARN);
    super::raise_file_limit();
    if args.urls.is_empty() && args.input.is_none() {
        return Usage::new("expected URLs, or a list with -i FILE (-i - for standard input)")
            .exit();
    }
    let runtime = runtime::Builder::new_multi_thread().enable_all().build();
    let got = runtime
        .context("cannot start the runtime")
        .and_then(|runtime| {
            let got = runtime.block_on(get(args));
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

/// Fetches the list, prints the results and returns the exit code.
async fn get(args: &Args) -> anyhow::Result<u8> {
    let (input, output) = match open(args).await {
        Ok(opened) => opened,
        Err(error) => {
            print_error(format_args!("error: {error:#}"));
            return Ok(exit_code::USAGE);
        }
    };
    let client = match &args.server {
        Some(urls) => {
            let builder = Client::builder().give_up_after(args.give_up_after);
            builder.connect(urls).await
        }
        None => Ok(embedded::start(args)?),
    };
    let client = match client {
        Ok(client) => client,
        Err(error) => return Ok(call_failed(&error)),
    };
    let mut results = Results::new(args, output);
    let end = fetch_all(args, &client, input, &mut results).await;
    if let Ok(End::CallFailed(error)) = &end {
        results.clear();
        return Ok(call_failed(error));
    }
    results.finish();
    match end {
        Ok(End::Interrupted) => Ok(exit_code::INTERRUPTED),
        Ok(_) if results.has_errors() => Ok(exit_code::FAILED),
        Ok(_) => Ok(0),
        Err(error) if is_broken_pipe(&error) => Ok(exit_code::BROKEN_PIPE),
        Err(error) => Err(error),
    }
}

async fn open(args: &Args) -> anyhow::Result<(Input, Output)> {
    Ok((Input::open(args).await?, Output::create(args)?))
}

/// Fetches everything in `input` and passes each outcome to `results` when its turn
/// comes.
async fn fetch_all(
    args: &Args,
    client: &Client,
    input: Input,
    results: &mut Results,
) -> anyhow::Result<End> {
    let interrupted = interrupt::token();
    let requests = results.requests(input);
    let mut fetch = client.fetch_stream(requests).concurrency(args.concurrency);
    if let Some(timeout) = args.batch_timeout {
        fetch = fetch.timeout(timeout);
    }
    let mut outcomes = Outcomes::new(fetch, args.unordered);
    loop {
        let outcome = tokio::select! {
            biased;
            () = interrupted.cancelled() => {
                for outcome in outcomes.take_arrived() {
                    results.add(outcome)?;
                }
                return Ok(End::Interrupted);
            }
            outcome = outcomes.next() => outcome,
        };
        let Some(outcome) = outcome else { break };
        results.add(outcome)?;
    }
    if let Some(error) = results.take_input_error() {
        return Err(error);
    }
    Ok(match results.take_call_error() {
        Some(error) => End::CallFailed(error),
        None => End::Complete,
    })
}

/// Prints the error of a call that failed as a whole. Returns the exit code.
fn call_failed(error: &Error) -> u8 {
    print_error(format_args!("error: {error}"));
    exit_code::CALL_FAILED
}

/// Returns the reason we print for an error.
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
    let error = error.downcast_ref::<io::Error>();
    error.is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
