//! Progress of a connection attempt.

use std::{fmt, time::Duration};

use crate::{
    net::{Tcp, socket},
    response::Phases,
    telemetry::RequestTrace,
};

/// The stage a connection attempt has reached, and how long each phase took. Each phase is
/// also recorded in the request's trace.
pub(crate) struct Progress<'a> {
    pub(crate) stage: Stage,
    pub(crate) phases: Phases,
    trace: &'a mut RequestTrace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Dns,
    Proxy,
    Tcp,
    Tls,
}

impl<'a> Progress<'a> {
    /// Returns the progress of an attempt that hasn't started yet.
    pub(crate) fn new(trace: &'a mut RequestTrace) -> Self {
        Self {
            stage: Stage::Dns,
            phases: Phases::default(),
            trace,
        }
    }

    /// Records that the addresses are known. `took` is `None` if there was no look-up.
    pub(super) fn resolved(&mut self, took: Option<Duration>) {
        self.phases.dns = took;
        self.stage = Stage::Tcp;
        if let Some(took) = took {
            self.trace.resolved(took);
        }
    }

    /// Records that there's a connection, either `tcp` or one through a proxy.
    pub(super) fn connected(&mut self, took: Duration, tcp: Option<&Tcp>) {
        self.phases.connect = Some(took);
        self.stage = Stage::Tls;
        self.trace.connected(took, || socket(tcp?).peer_addr().ok());
    }

    /// Records the end of the TLS handshake.
    pub(super) fn secured(&mut self, took: Duration) {
        self.phases.tls = Some(took);
        self.trace.secured(took);
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
