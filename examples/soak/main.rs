//! Proves that nothing grows: puts a mixed load on a service, records its memory, open
//! files and tasks all the time, and fails if the end of the run is above its beginning.
//!
//! ```console
//! $ cargo run --release --example soak -- --fetches 10000000 --plot soak.svg
//! ```
//!
//! `--fetches` defaults to 1,000,000, which take about a minute on two cores. It needs Linux,
//! since it reads `/proc`.
//!
//! The service is a process of its own, so its figures are its own. The callers and the
//! origins are in this process. Of 1,000 fetches of a caller,
//!
//! - 730 are small bodies, 60 POSTs, 50 chunked and 50 gzip bodies, and 40 redirects, from 16
//!   origins,
//! - 10 are large bodies and 10 slow responses, from the same origins,
//! - 10 are 503s with a retry, 8 resets, 8 connections closed without a response, 7 bodies
//!   cut short and 7 responses that aren't HTTP, from an origin of their own, since faults
//!   keep connections from being reused,
//! - 10 are refused, each by another host, so state that is kept for each host would grow.
//!
//! Most callers read everything. Others cancel half-way, connect again for each list, read
//! slowly, or request large bodies and stop reading for longer than the stall timeout.

#![allow(clippy::pedantic, clippy::print_stdout, clippy::print_stderr)]

mod callers;
mod chart;
mod growth;
mod mix;
mod options;
mod origin;
#[path = "../plot/mod.rs"]
mod plot;
mod record;
mod service;
mod tally;
mod usage;

use std::{env, process::ExitCode, sync::Arc, time::Duration};

use tokio::time::Instant;

use callers::Callers;
use options::{Options, thousands};
use origin::Origins;
use record::Record;
use service::Service;
use tally::Tally;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long the service may take until it's idle after the last fetch. It keeps idle
/// connections to origins for 4 s.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let result = match arguments.as_slice() {
        [only] if only == service::ARGUMENT => service::serve().await,
        _ => match Options::parse(arguments) {
            Ok(options) => soak(options).await,
            Err(error) => Err(error),
        },
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the load, prints and plots the figures, and fails if anything has grown.
async fn soak(options: Options) -> Result<(), BoxError> {
    let mut service = Service::start().await?;
    let origins = Origins::start().await?;
    let tally = Arc::new(Tally::default());
    let mut record = Record::new(service.usage().await?);
    println!("an idle service: {}", record.idle);

    let mut callers = Callers::start(service.url(), origins, &tally, options.fetches);
    while tally.fetches() < options.fetches {
        tokio::select! {
            usage = service.usage() => record.push(tally.fetches(), usage?),
            ended = callers.join() => ended?,
        }
    }
    // Samples from now on would be lower, since callers end one by one.
    record.finish(tally.fetches());
    callers.join().await?;
    println!("{record}");
    println!("{tally}");

    let is_idle = wait_until_idle(&mut service, &mut record).await?;
    println!("after the last fetch: {}", record.last);
    if let Some(path) = &options.plot {
        chart::draw(&record).write(path)?;
        println!("plotted in {}", path.display());
    }

    let verdict = growth::judge(&record)?;
    println!("{verdict}");
    let mut problems = verdict.problems();
    if !is_idle {
        let seconds = IDLE_TIMEOUT.as_secs();
        let (last, idle) = (&record.last, &record.idle);
        problems.push(format!(
            "the service isn't idle {seconds} s after the last fetch: expected at most {idle}; \
             got {last}"
        ));
    }
    problems.extend(tally.problems());
    if !problems.is_empty() {
        return Err(problems.join("\nerror: ").into());
    }
    println!("nothing grew in {} fetches", thousands(tally.fetches()));
    Ok(())
}

/// Waits until the service holds no more sockets and tasks than before the first fetch.
/// Returns false if it still does after the timeout.
async fn wait_until_idle(service: &mut Service, record: &mut Record) -> Result<bool, BoxError> {
    let deadline = Instant::now() + IDLE_TIMEOUT;
    while Instant::now() < deadline {
        record.last = service.usage().await?;
        if record.last.is_idle(&record.idle) {
            return Ok(true);
        }
    }
    Ok(false)
}
