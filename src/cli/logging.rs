//! Logging setup. We log to stderr, as text if it's a terminal and as JSON otherwise.
//! The level is the command's default unless `RUST_LOG` sets one.
//!
//! A bare level in `RUST_LOG` (e.g. `debug`) only applies to fetchd itself. Libraries
//! stay at `warn` or below unless `RUST_LOG` names targets, because their messages may
//! contain host names and addresses.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

/// The format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Human-readable lines
    Text,
    /// One JSON object a line
    Json,
}

/// Initializes logging, at `default_level` if `RUST_LOG` isn't set.
pub(super) fn init(format: Option<LogFormat>, default_level: LevelFilter) {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(is_terminal);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    let rust_log = std::env::var("RUST_LOG").unwrap_or_default();
    tracing_subscriber::registry()
        .with(layer)
        .with(filter(&rust_log, default_level))
        .init();
}

/// Builds a filter from the value of `RUST_LOG`.
fn filter(rust_log: &str, default_level: LevelFilter) -> Targets {
    if rust_log.contains('=')
        && let Ok(targets) = rust_log.parse()
    {
        return targets;
    }
    // We need this check because an empty string would parse as `error`.
    let level = if rust_log.is_empty() {
        default_level
    } else {
        rust_log.parse().unwrap_or(default_level)
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("fetchd", level)
}
