//! The log: standard error, as text on a terminal and as JSON elsewhere, at the
//! command's level unless `RUST_LOG` sets another.
//!
//! A bare level in `RUST_LOG`, such as `debug`, applies to fetchd alone. The
//! libraries log at most warnings unless `RUST_LOG` names targets, because their
//! lines may contain names and addresses.

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

/// Starts the log, at `default_level` if `RUST_LOG` is not set.
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

/// Returns the filter that the value of `RUST_LOG` asks for.
fn filter(rust_log: &str, default_level: LevelFilter) -> Targets {
    if rust_log.contains('=')
        && let Ok(targets) = rust_log.parse()
    {
        return targets;
    }
    // The empty string would parse as `error`.
    let level = if rust_log.is_empty() {
        default_level
    } else {
        rust_log.parse().unwrap_or(default_level)
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("fetchd", level)
}
