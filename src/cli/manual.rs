//! Shell completions and manual pages. Both are generated from the flags.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Cli, Usage, exit_code, print_error};

/// Prints shell completions.
#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints a manual page.
#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The command to describe, such as `get` [default: all of them, in short]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Prints the completions for a shell.
pub(super) fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut command = Cli::command();
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut command, "fetchd", &mut text);
    print(&text)
}

/// Prints the manual page of a command, in roff.
pub(super) fn man(args: &ManArgs) -> ExitCode {
    // This also adds `fetchd` to the names of the subcommands.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let found = match &args.command {
        Some(name) => command.find_subcommand(name),
        None => Some(&command),
    };
    let Some(found) = found else {
        let names: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        let (expected, name) = (
            names.join(", "),
            args.command.as_deref().unwrap_or_default(),
        );
        return Usage::new(format_args!("expected one of {expected}, got {name:?}")).exit();
    };
    let mut text = Vec::new();
    match Man::new(found.clone()).render(&mut text) {
        Ok(()) => print(&text),
        Err(error) => {
            print_error(format_args!("error: cannot write the manual page: {error}"));
            ExitCode::from(exit_code::FAILED)
        }
    }
}

fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::from(exit_code::BROKEN_PIPE)
        }
        Err(error) => {
            print_error(format_args!("error: cannot write: {error}"));
            ExitCode::from(exit_code::FAILED)
        }
    }
}
