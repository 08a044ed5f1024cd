//! `fetchd`: the service, and a command line that calls it.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse() {
        Ok(command) => cli::run(&command),
        Err(usage) => usage.exit(),
    }
}
