//! What goes wrong on a connection to an origin.

use std::{borrow::Cow, io};

/// Why there is no complete response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The origin does not speak HTTP/1.1, or speaks it so that two parsers
    /// could disagree about where its messages end.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// The origin closed the connection too early.
    #[error("the origin closed the connection {0}")]
    Closed(&'static str),
    /// The connection broke.
    #[error("the connection broke")]
    Io(#[from] io::Error),
}

impl Error {
    /// A fault of the origin, named by `fault`.
    pub(super) fn malformed(fault: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(fault.into())
    }
}
