//! The command line: flags, environment variables and commands.
//!
//! Nothing outside this module knows a flag's name or reads the environment.

mod credentials;
mod demo;
mod exit_code;
mod get;
mod health;
mod logging;
mod manual;
mod parse;
mod redact;
mod serve;
mod usage;

use std::{
    fmt,
    io::{self, Write},
    process::ExitCode,
};

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use usage::Usage;

/// Fetches batches of URLs concurrently and returns the results as they arrive or in input order.
#[derive(Debug, Parser)]
#[command(name = "fetchd", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// The command to run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the service until SIGTERM or SIGINT
    Serve(Box<serve::Args>),
    /// Fetch a list of URLs and print the results in input order
    Get(Box<get::Args>),
    /// Fetch from a slow local origin and print how long it takes; needs no network
    Demo,
    /// Check the health of a service; exit with 0 if it is SERVING
    Health(health::Args),
    /// Print completions for a shell
    Completions(manual::CompletionsArgs),
    /// Print the manual page of a command
    Man(manual::ManArgs),
}

/// Parses the arguments and the environment.
pub(crate) fn parse() -> Result<Command, Usage> {
    let matches = Cli::command().try_get_matches()?;
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut Cli::command()));
    let mut command = cli?.command;
    if let (Command::Serve(args), Some((_, matches))) = (&mut command, matches.subcommand()) {
        args.note_sources(matches);
    }
    logging::check()?;
    Ok(command)
}

/// Runs `command` and returns its exit code.
pub(crate) fn run(command: &Command) -> ExitCode {
    match command {
        Command::Serve(args) => serve::run(args),
        Command::Get(args) => get::run(args),
        Command::Demo => demo::run(),
        Command::Health(args) => health::run(args),
        Command::Completions(args) => manual::completions(args),
        Command::Man(args) => manual::man(args),
    }
}

/// Prints `message` on stderr. We ignore write errors here, since a closed stderr
/// shouldn't make the command fail.
fn print_error(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{message}");
}

/// Raises the open file limit as far as the system lets us, and returns the new limit if
/// we know it. We do this because every request in flight and every idle connection
/// takes a file descriptor.
fn raise_file_limit() -> Option<usize> {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(files) => usize::try_from(files).ok(),
        Err(error) => {
            tracing::warn!(%error, "cannot raise the limit of open files");
            None
        }
    }
}
