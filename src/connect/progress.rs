//! The progress of one connection attempt.

use std::fmt;

use crate::response::Phases;

/// The stage that a connection attempt has reached, and the duration of each phase.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) phases: Phases,
}

/// A stage of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Dns,
    Proxy,
    Tcp,
    Tls,
}

impl Progress {
    /// Returns the progress of an attempt that has not started.
    pub(crate) fn new() -> Self {
        Self {
            stage: Stage::Dns,
            phases: Phases::default(),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "in DNS",
            Self::Proxy => "at the proxy",
            Self::Tcp => "in TCP",
            Self::Tls => "in TLS",
        })
    }
}
