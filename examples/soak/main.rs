//! Puts a mixed load on the service until it has fetched as much as was asked for, and checks
//! that it doesn't grow: neither its memory, nor its sockets, nor its tasks.
//!
//! ```text
//! cargo run --release --example soak -- --fetches 10000000 --plot docs/images/soak.svg
//! ```
//!
//! The service is a process of its own. Origins and callers are in this one. See `origin` for
//! the mix of answers, and `callers` for what callers do. The service is read each second. It
//! passes if the last tenth of the run isn't above the second minute (or the second tenth, in a
//! run of less than ten minutes), and if it's back to where it began once all callers have left.

#![allow(clippy::print_stdout, missing_docs)]

mod callers;
mod origin;
#[path = "../plot/mod.rs"]
mod plot;
mod report;
mod service;
mod usage;

use std::{error::Error, path::PathBuf, process::ExitCode, sync::Arc, time::Duration};

use callers::Counts;
use clap::{Parser, Subcommand};
use origin::Origin;
use report::Report;
use service::Service;
use tokio::time::{self, Instant};

type BoxError = Box<dyn Error + Send + Sync>;

/// Checks that the service doesn't grow under a mixed load.
#[derive(Debug, Parser)]
struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// How many requests to fetch.
    #[arg(long, default_value_t = 1_000_000)]
    fetches: u64,
    /// Writes the figures over time to this SVG file.
    #[arg(long)]
    plot: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs the service, and prints its usage each second.
    #[command(hide = true)]
    Serve,
}

/// How long the service may take to become idle again. It keeps connections to origins for
/// 4 s.
const SETTLE: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> Result<ExitCode, BoxError> {
    let args = Args::parse();
    match args.command {
        Some(Command::Serve) => service::serve().await.map(|()| ExitCode::SUCCESS),
        None => soak(&args).await,
    }
}

async fn soak(args: &Args) -> Result<ExitCode, BoxError> {
    let origin = Origin::start().await?;
    let counts = Arc::new(Counts::default());
    let mut service = Service::start(Arc::clone(&counts))?;
    service.sampled(2).await;
    let before = service.last();

    let began = Instant::now();
    let target = args.fetches;
    let url = service.url().to_owned();
    let calling = callers::call(&url, origin, Arc::clone(&counts), target);
    let mut calling = std::pin::pin!(calling);
    let mut ticks = time::interval(Duration::from_mins(1));
    ticks.tick().await;
    loop {
        tokio::select! {
            called = calling.as_mut() => break called?,
            _ = ticks.tick() => println!("{counts}; {}", service.last()),
        }
    }
    let took = began.elapsed();
    println!("{counts} in {:.0} s", took.as_secs_f64());
    let mut under_load = service.samples();
    under_load.retain(|sample| sample.fetches > 0);

    let deadline = Instant::now() + SETTLE;
    while service.last().is_above(&before) && Instant::now() < deadline {
        service.sampled(1).await;
    }
    let report = Report {
        before,
        under_load,
        after: service.last(),
    };
    println!("{report}");
    if let Some(path) = &args.plot {
        report.plot().write(path)?;
    }
    let problems = report.problems();
    for problem in &problems {
        println!("FAILED: {problem}");
    }
    if problems.is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}
