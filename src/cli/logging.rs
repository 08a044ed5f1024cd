//! Where the log goes, and in which form: standard error, text on a terminal
//! and JSON elsewhere, from `info` on unless `RUST_LOG` says otherwise. A bare
//! level there is ours: what libraries say of connections and names is logged
//! only where they are named.

use std::io::{self, IsTerminal};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{filter::Targets, fmt, prelude::*};

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum LogFormat {
    /// Lines for people
    Text,
    /// One JSON object a line
    Json,
}

/// Starts the log. `usual` is the level where `RUST_LOG` is not set.
pub(super) fn init(format: Option<LogFormat>, usual: LevelFilter) {
    let is_terminal = io::stderr().is_terminal();
    let format = format.unwrap_or(if is_terminal {
        LogFormat::Text
    } else {
        LogFormat::Json
    });
    let wished = std::env::var("RUST_LOG").unwrap_or_default();
    let level = match wished.as_str() {
        "" => usual,
        level => level.parse().unwrap_or(usual),
    };
    let ours = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("fetchd", level);
    let named = wished.parse().ok().filter(|_| wished.contains('='));
    let filter = named.unwrap_or(ours);
    let layer = fmt::layer().with_writer(io::stderr).with_ansi(is_terminal);
    let layer = match format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry()
        .with(layer)
        .with(filter)
        .init();
}
