//! Errors on a connection to an origin.

use std::{borrow::Cow, io};

/// Why a response is not complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The origin does not speak HTTP/1.1, or two parsers could disagree about where its
    /// messages end.
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
    /// Creates an error for a response that violates the protocol.
    pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Self {
        Self::Malformed(message.into())
    }
}
