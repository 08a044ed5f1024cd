//! Usage errors. We print one line with the argument, the accepted values and the given
//! value.

use std::{error::Error, fmt, process::ExitCode};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use url::Url;

use super::{exit_code, parse::InvalidItem};

/// Why we can't run a command: either the arguments are wrong, or the user asked for the
/// help or the version.
#[derive(Debug)]
pub(crate) struct Usage(Kind);

#[derive(Debug)]
enum Kind {
    Clap(Box<clap::Error>),
    Line(String),
}

impl Usage {
    /// Creates a usage error from a one-line message.
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self(Kind::Line(message.to_string()))
    }

    /// Prints the error, the help or the version. Returns the exit code.
    pub(crate) fn exit(&self) -> ExitCode {
        match &self.0 {
            Kind::Line(line) => super::print_error(format_args!("error: {line}")),
            Kind::Clap(error) => {
                // Ignore write errors. If the output is closed, nobody reads the help
                // anyway.
                let _ = error.print();
                if !error.use_stderr() {
                    return ExitCode::SUCCESS;
                }
            }
        }
        ExitCode::from(exit_code::USAGE)
    }
}

impl From<clap::Error> for Usage {
    fn from(error: clap::Error) -> Self {
        let line = match error.kind() {
            ErrorKind::ValueValidation | ErrorKind::InvalidValue => invalid_value(&error),
            ErrorKind::UnknownArgument => unknown_argument(&error),
            _ => None,
        };
        match line {
            Some(line) => Self(Kind::Line(line)),
            None => Self(Kind::Clap(Box::new(error))),
        }
    }
}

/// Formats an invalid value, e.g. `--listen: expected an address …, got "nowhere"`.
fn invalid_value(error: &clap::Error) -> Option<String> {
    // clap gives us the argument as in the usage line, e.g. `--max-batches <N>`.
    let argument = error.get(ContextKind::InvalidArg)?.to_string();
    let flag = argument.split(' ').next()?;
    let value = error.get(ContextKind::InvalidValue)?.to_string();
    if let Some(ContextValue::Strings(names)) = error.get(ContextKind::ValidValue) {
        let names = names.join(" or ");
        let shown = without_secrets(&value);
        return Some(format!("{flag}: expected {names}, got \"{shown}\""));
    }
    let expected = error.source()?;
    let item = expected.downcast_ref::<InvalidItem>();
    let shown = without_secrets(item.map_or(&value, |item| &item.text));
    Some(format!("{flag}: {expected}, got \"{shown}\""))
}

/// Names the unknown argument. Note that it may really be the value of a flag the user
/// forgot to write, so it may contain secrets.
fn unknown_argument(error: &clap::Error) -> Option<String> {
    let argument = error.get(ContextKind::InvalidArg)?.to_string();
    let shown = without_secrets(&argument);
    Some(format!(
        "unexpected argument \"{shown}\"; --help lists the accepted ones"
    ))
}

/// Strips anything that may be a user name, a password or a query. For URLs we keep the
/// scheme, host and port.
pub(super) fn without_secrets(value: &str) -> String {
    if !value.contains("://") && !value.contains('@') {
        return value.to_owned();
    }
    origin(value).unwrap_or_else(|| "…".to_owned())
}

/// Returns the scheme, host and port of `url`.
fn origin(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    let scheme = url.scheme();
    Some(match url.port() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_and_queries_are_not_shown() {
        for (value, shown) in [
            ("much", "much"),
            ("http://user:pw@a.example:81/p?q", "http://a.example:81"),
            ("https://a.example", "https://a.example"),
            ("user:pw@a.example", "…"),
        ] {
            assert_eq!(without_secrets(value), shown);
        }
    }
}
