//! Wrong usage: one line that names the argument, what is accepted, and the value.

use std::{error::Error, fmt, process::ExitCode};

use clap::error::{ContextKind, ContextValue, ErrorKind};
use url::Url;

use super::{exit_code, parse::InvalidItem};

/// The reason why no command can run: wrong arguments, or a request for the help
/// or the version.
#[derive(Debug)]
pub(crate) struct Usage(Kind);

#[derive(Debug)]
enum Kind {
    Clap(Box<clap::Error>),
    Line(String),
}

impl Usage {
    /// Wrong usage that `message` describes in one line.
    pub(super) fn new(message: impl fmt::Display) -> Self {
        Self(Kind::Line(message.to_string()))
    }

    /// Prints the error, the help or the version, and returns the exit code.
    pub(crate) fn exit(&self) -> ExitCode {
        match &self.0 {
            Kind::Line(line) => super::print_error(format_args!("error: {line}")),
            Kind::Clap(error) => {
                // A closed output is not an error: nobody reads the help.
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

/// Returns a line such as `--listen: expected an address …, got "nowhere"`.
fn invalid_value(error: &clap::Error) -> Option<String> {
    // The argument as usage shows it: `--max-batches <N>`.
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

/// Returns a line that names the argument. It may be the value of a forgotten flag,
/// and contain secrets.
fn unknown_argument(error: &clap::Error) -> Option<String> {
    let argument = error.get(ContextKind::InvalidArg)?.to_string();
    let shown = without_secrets(&argument);
    Some(format!(
        "unexpected argument \"{shown}\"; --help lists the accepted ones"
    ))
}

/// Removes everything that may be a user name, a password or a query: of a URL,
/// the scheme, the host and the port remain.
fn without_secrets(value: &str) -> String {
    if !value.contains("://") && !value.contains('@') {
        return value.to_owned();
    }
    origin(value).unwrap_or_else(|| "…".to_owned())
}

/// Returns the scheme, the host and the port of `url`.
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
