//! Arguments and environment, and the commands. The only place that knows a
//! flag or a variable.

mod get;
mod health;
mod logging;
mod serve;
mod usage;
mod value;

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, Parser, Subcommand};

pub(crate) use usage::Usage;

/// Fetches batches of URLs, many at a time, and gives the results back as they
/// arrive or in their order.
#[derive(Debug, Parser)]
#[command(name = "fetchd", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service until SIGTERM or SIGINT
    Serve(Box<serve::Args>),
    /// Fetch a list of URLs and print the results in the order of the input
    Get(Box<get::Args>),
    /// Ask a service whether it is SERVING; exit 0 where it is
    Health(health::Args),
}

/// The exit code of wrong usage.
const USAGE: u8 = 2;

/// Reads the arguments and the environment.
pub(crate) fn parse() -> Result<Command, Usage> {
    Ok(Cli::try_parse()?.command)
}

/// Says something on standard error. Where nobody can hear it, that is no
/// reason to fail.
fn say(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Allows as many open files as the system grants, and returns how many these are,
/// if it is known: each request in flight has a connection, and idle ones are kept
/// for the next.
fn raise_file_limit() -> Option<usize> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => usize::try_from(files).ok(),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files cannot be raised");
            None
        }
    }
}

/// Carries out `command`.
pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Get(args) => get::run(args),
        Command::Health(args) => health::run(args),
    }
}

/// The environment variables that `serve` knows.
fn variables() -> Vec<String> {
    let command = Cli::command();
    let serve = command.find_subcommand("serve");
    let arguments = serve.into_iter().flat_map(clap::Command::get_arguments);
    let variables = arguments.filter_map(clap::Arg::get_env);
    variables
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}
