//! Logging setup. We log to stderr, as text if it's a terminal and as JSON otherwise.
//! The level is the command's default unless `RUST_LOG` sets one.
//!
//! A level in `RUST_LOG` (e.g. `debug`) only applies to fetchd itself. Libraries don't
//! log at all unless `RUST_LOG` names them. Otherwise, any peer could fill the log: h2
//! warns about each unasked-for PING ack, and hickory about each odd answer of a name
//! server. Their messages may contain host names and addresses as well.

mod json;

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

use super::Usage;
use json::JsonLayer;

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Human-readable lines
    Text,
    /// One JSON object a line
    Json,
}

/// Checks `RUST_LOG`. If we just ignored a wrong value, people would look for log lines
/// that never come.
pub(super) fn check() -> Result<(), Usage> {
    let rust_log = rust_log();
    if parse(&rust_log, LevelFilter::OFF).is_some() {
        return Ok(());
    }
    Err(Usage::new(format_args!(
        "RUST_LOG: expected a level (off, error, warn, info, debug or trace), or a list such as \
         info,h2=debug, got \"{rust_log}\""
    )))
}

/// Initializes logging, at `default_level` if `RUST_LOG` isn't set. [`check`] has already
/// accepted its value.
pub(super) fn init(format: Option<LogFormat>, default_level: LevelFilter) {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let layer = match format {
        LogFormat::Text => fmt::layer()
            .with_writer(io::stderr)
            .with_ansi(is_terminal)
            .boxed(),
        LogFormat::Json => JsonLayer.boxed(),
    };
    let filter = parse(&rust_log(), default_level);
    let filter = filter.unwrap_or_else(|| only_fetchd(default_level));
    tracing_subscriber::registry()
        .with(layer)
        .with(filter)
        .init();
}

fn rust_log() -> String {
    let value = std::env::var_os("RUST_LOG").unwrap_or_default();
    value.to_string_lossy().into_owned()
}

/// Parses the value of `RUST_LOG`: a list of levels for targets, such as `h2=debug`, with
/// a bare level for fetchd itself.
fn parse(rust_log: &str, default_level: LevelFilter) -> Option<Targets> {
    let mut level = None;
    let mut named = Vec::new();
    for item in rust_log.split(',').map(str::trim) {
        match item.split_once('=') {
            Some((target, level)) => named.push((parse_target(target)?, parse_level(level)?)),
            None if item.is_empty() => {}
            None => level = Some(parse_level(item)?),
        }
    }
    // If there are only targets, then nothing else is logged, as in other programs.
    let unnamed = if named.is_empty() {
        default_level
    } else {
        LevelFilter::OFF
    };
    Some(only_fetchd(level.unwrap_or(unnamed)).with_targets(named))
}

/// Parses the path of a module.
fn parse_target(text: &str) -> Option<String> {
    let text = text.trim();
    let is_legal = |char: char| char.is_ascii_alphanumeric() || "_:-".contains(char);
    (!text.is_empty() && text.chars().all(is_legal)).then(|| text.to_owned())
}

/// Parses a level. Unlike `LevelFilter`, this doesn't take an empty text for `error`.
fn parse_level(text: &str) -> Option<LevelFilter> {
    let text = text.trim();
    text.parse().ok().filter(|_| !text.is_empty())
}

fn only_fetchd(level: LevelFilter) -> Targets {
    Targets::new().with_target("fetchd", level)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Returns true if `target` may log at `level`.
    fn logs(rust_log: &str, target: &str, level: Level) -> bool {
        let filter = parse(rust_log, LevelFilter::INFO).unwrap();
        filter.would_enable(target, &level)
    }

    #[test]
    fn a_level_only_applies_to_fetchd() {
        for (rust_log, level, higher) in [
            ("", Level::INFO, Level::DEBUG),
            ("debug", Level::DEBUG, Level::TRACE),
            ("Warn,h2=off", Level::WARN, Level::INFO),
            ("fetchd=debug", Level::DEBUG, Level::TRACE),
            ("fetchd=debug,info", Level::DEBUG, Level::TRACE),
        ] {
            assert!(logs(rust_log, "fetchd::server", level), "{rust_log}");
            assert!(!logs(rust_log, "fetchd::server", higher), "{rust_log}");
            for library in ["h2::proto", "hickory_resolver"] {
                assert!(!logs(rust_log, library, Level::ERROR), "{rust_log}");
            }
        }
        assert!(!logs("off", "fetchd", Level::ERROR));
    }

    #[test]
    fn libraries_log_if_they_are_named() {
        for rust_log in ["h2=warn", "info, h2 = warn", "h2::proto=warn,trace"] {
            assert!(logs(rust_log, "h2::proto", Level::WARN), "{rust_log}");
            assert!(!logs(rust_log, "h2::proto", Level::INFO), "{rust_log}");
            assert!(!logs(rust_log, "hyper", Level::ERROR), "{rust_log}");
        }
        assert!(!logs("h2=warn", "fetchd", Level::ERROR));
        assert!(logs("h2=warn,info", "fetchd", Level::INFO));
    }

    #[test]
    fn anything_else_is_rejected() {
        for wrong in [
            "nonsense",
            "fetchd",
            "info,h2",
            "h2=",
            "h2=loud",
            "=debug",
            "h2=debug=trace",
            "h2[{frame}]=debug",
        ] {
            assert!(parse(wrong, LevelFilter::INFO).is_none(), "{wrong}");
        }
    }
}
