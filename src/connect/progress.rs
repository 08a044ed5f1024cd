//! How far connecting has come.

use std::fmt;

use crate::response::Phases;

/// Where the connecting of one request is, and how long its phases took.
#[derive(Debug)]
pub(crate) struct Progress {
    pub(crate) stage: Stage,
    pub(crate) phases: Phases,
}

/// A step of connecting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Dns,
    Proxy,
    Tcp,
    Tls,
}

impl Progress {
    /// Connecting that has not begun.
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
