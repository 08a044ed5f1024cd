//! Wrong usage, told in as few words as it takes.

use std::{fmt, process::ExitCode};

use clap::error::{ContextKind, ErrorKind};
use url::Url;

use super::USAGE;

/// Why the arguments cannot be used, or what was asked for instead (help, the
/// version).
#[derive(Debug)]
pub(crate) struct Usage(Kind);

#[derive(Debug)]
enum Kind {
    Clap(Box<clap::Error>),
    Line(String),
}

impl Usage {
    /// A wrong value, told in one line.
    pub(super) fn line(message: impl fmt::Display) -> Self {
        Self(Kind::Line(message.to_string()))
    }

    /// Prints what is to be said, and gives the exit code.
    pub(crate) fn exit(&self) -> ExitCode {
        match &self.0 {
            Kind::Line(line) => super::say(format_args!("error: {line}")),
            Kind::Clap(error) => {
                // Where standard output is closed, nobody reads the help.
                let _ = error.print();
                if !error.use_stderr() {
                    return ExitCode::SUCCESS;
                }
            }
        }
        ExitCode::from(USAGE)
    }
}

impl From<clap::Error> for Usage {
    fn from(error: clap::Error) -> Self {
        match wrong_value(&error).or_else(|| unknown(&error)) {
            Some(line) => Self(Kind::Line(line)),
            None => Self(Kind::Clap(Box::new(error))),
        }
    }
}

/// The flag, its value and what is accepted, in one line.
fn wrong_value(error: &clap::Error) -> Option<String> {
    if !matches!(
        error.kind(),
        ErrorKind::ValueValidation | ErrorKind::InvalidValue
    ) {
        return None;
    }
    let flag = error.get(ContextKind::InvalidArg)?.to_string();
    let flag = flag.split(' ').next()?;
    let value = without_secrets(&error.get(ContextKind::InvalidValue)?.to_string());
    let accepted = match error.get(ContextKind::ValidValue) {
        Some(values) => format!("{values} are accepted"),
        None => std::error::Error::source(error)?.to_string(),
    };
    Some(format!("invalid value '{value}' for '{flag}': {accepted}"))
}

/// An argument that is none, which may be the value of a flag that was forgotten.
fn unknown(error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let argument = error.get(ContextKind::InvalidArg)?.to_string();
    let shown = without_secrets(&argument);
    Some(format!(
        "unexpected argument '{shown}'; --help names those there are"
    ))
}

/// A value without what may be a user, a password and a query: of what looks like
/// a URL, scheme, host and port.
fn without_secrets(value: &str) -> String {
    if !value.contains("://") && !value.contains('@') {
        return value.to_owned();
    }
    let url = Url::parse(value).ok();
    let shown = url.and_then(|url| {
        let port = url.port().map(|port| format!(":{port}"));
        Some(format!(
            "{}://{}{}",
            url.scheme(),
            url.host_str()?,
            port.unwrap_or_default()
        ))
    });
    shown.unwrap_or_else(|| "…".to_owned())
}
