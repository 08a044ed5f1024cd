//! Progress of a connection attempt.

use std::fmt;

use crate::response::Phases;

/// The stage a connection attempt has reached, and how long each phase took.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) phases: Phases,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Dns,
    Proxy,
    Tcp,
    Tls,
}

impl Progress {
    /// Returns the progress of an attempt that hasn't started yet.
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
