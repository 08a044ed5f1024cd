//! Why a request has no complete response.

use std::error::Error as _;

use tonic::Status;

use crate::{
    Code,
    causes::with_causes,
    proto::{self, Reason},
};

/// The reason why a request has no complete response.
///
/// Messages never contain a URL's query string, fragment or credentials.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The service couldn't fetch the URL. Please match on `reason`, not on `message`.
    #[error("{message}")]
    #[non_exhaustive]
    Fetch {
        /// The kind of failure. This is [`Reason::Unspecified`] if the service reports a
        /// reason that this version of the client doesn't know.
        reason: Reason,
        /// A human-readable description of the failure and its cause.
        message: String,
        /// True if the same request may succeed later.
        retryable: bool,
    },
    /// The call to the service failed before the request had a result.
    #[error("the call failed ({code}): {message}")]
    #[non_exhaustive]
    Call {
        /// The call's status code, e.g. [`Code::Unavailable`].
        code: Code,
        /// A human-readable description of the failure and its cause.
        message: String,
        /// True if the same call may succeed later.
        retryable: bool,
    },
    /// The client can't send this request. No service has seen it.
    #[error("the request cannot be sent: {message}")]
    #[non_exhaustive]
    Unsendable {
        /// A human-readable description of the problem.
        message: String,
    },
    /// The service sent a response that violates the protocol.
    #[error("the service broke its contract: {message}")]
    #[non_exhaustive]
    Contract {
        /// A human-readable description of the violation.
        message: &'static str,
    },
}

impl Error {
    /// Returns the kind of failure if the service couldn't fetch the URL. For all other
    /// errors, this is `None`.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Fetch { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Returns true if the same request may succeed later.
    ///
    /// Note that the request may have reached its origin even though it failed. If it
    /// isn't idempotent, make sure it's safe to send twice before you do.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch { retryable, .. } | Self::Call { retryable, .. } => *retryable,
            Self::Unsendable { .. } | Self::Contract { .. } => false,
        }
    }

    pub(super) fn contract(message: &'static str) -> Self {
        Self::Contract { message }
    }

    pub(super) fn unsendable(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Unsendable { message }
    }

    /// Creates the error for a service that we can't reach at the moment.
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::Call {
            code: Code::Unavailable,
            message: message.into(),
            retryable: true,
        }
    }

    pub(super) fn from_transport(error: &tonic::transport::Error) -> Self {
        Self::unavailable(with_causes(error))
    }

    pub(super) fn from_fetch(error: proto::FetchError) -> Self {
        Self::Fetch {
            reason: error.reason(),
            message: error.message,
            retryable: error.retryable,
        }
    }

    pub(super) fn from_status(status: &Status) -> Self {
        let code = match Code::of(status) {
            // tonic reports a broken connection as `Unknown`, since it has no code for
            // that.
            Code::Unknown if status.source().is_some() => Code::Unavailable,
            code => code,
        };
        let message = match status.source() {
            Some(cause) if status.message().is_empty() => with_causes(cause),
            _ => status.message().to_owned(),
        };
        Self::Call {
            code,
            message,
            retryable: is_transient(code),
        }
    }

    /// Adds `url` to the message. It has to be redacted already.
    pub(super) fn for_url(mut self, url: &str) -> Self {
        if let Self::Fetch { message, .. } | Self::Call { message, .. } = &mut self {
            message.extend([" for url (", url, ")"]);
        }
        self
    }
}

fn is_transient(code: Code) -> bool {
    matches!(
        code,
        Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::Unavailable
    )
}
