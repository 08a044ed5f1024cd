//! Errors on a connection to an origin.

use std::{borrow::Cow, io};

/// The reason why a response isn't complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The origin doesn't speak HTTP/1.1, or two parsers might disagree about where its
    /// messages end.
    #[error("{0}")]
    Malformed(Cow<'static, str>),
    /// The origin closed the connection before it should have.
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
