//! The `fetchd` binary: the service, and commands that call it.

#![forbid(unsafe_code)]

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::parse() {
        Ok(command) => cli::run(&command),
        Err(usage) => usage.exit(),
    }
}
