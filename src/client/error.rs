//! Why there is no complete response, as a caller sees it.

use std::error::Error as _;

use tonic::Status;

use crate::{
    Code,
    causes::with_causes,
    proto::{self, Reason},
};

/// Why a request has no complete response.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The request came to this end. Match on `reason`, never on `message`.
    #[error("{message}")]
    Fetch {
        /// What happened. `Unspecified` where the service knows a reason that
        /// this client does not: `retryable` then decides.
        reason: Reason,
        /// For people: what happened, with the cause.
        message: String,
        /// Whether the same request may succeed if it is sent again later.
        retryable: bool,
    },
    /// The call failed, and with it every request that had no end yet.
    #[error("the call failed ({code}): {message}")]
    Call {
        /// The gRPC code, such as [`Code::Unavailable`].
        code: Code,
        /// For people: what happened, with the cause.
        message: String,
        /// Whether the same call may succeed if it is made again later.
        retryable: bool,
    },
    /// The request cannot be handed to a service. Nothing was sent.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
    /// The service did not keep to the contract.
    #[error("the service broke its contract: {0}")]
    Contract(&'static str),
}

impl Error {
    /// Why the fetch failed, where it was the fetch that did.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Fetch { reason, .. } => Some(*reason),
            _ => None,
        }
    }

    /// Whether the same request may succeed if it is sent again later. Says
    /// nothing on whether sending it twice is safe.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch { retryable, .. } | Self::Call { retryable, .. } => *retryable,
            Self::Unsendable(_) | Self::Contract(_) => false,
        }
    }

    pub(super) fn transport(error: &tonic::transport::Error) -> Self {
        Self::Call {
            code: Code::Unavailable,
            message: with_causes(error),
            retryable: true,
        }
    }
}

impl From<proto::FetchError> for Error {
    fn from(error: proto::FetchError) -> Self {
        Self::Fetch {
            reason: error.reason(),
            message: error.message,
            retryable: error.retryable,
        }
    }
}

impl From<Status> for Error {
    fn from(status: Status) -> Self {
        let is_transport = status.source().is_some();
        let code = match Code::of(&status) {
            // The connection broke; tonic does not know what that means.
            Code::Unknown if is_transport => Code::Unavailable,
            code => code,
        };
        let retryable = matches!(
            code,
            Code::Cancelled
                | Code::Unknown
                | Code::DeadlineExceeded
                | Code::ResourceExhausted
                | Code::Aborted
                | Code::Unavailable
        );
        let message = match status.source() {
            Some(cause) if status.message().is_empty() => with_causes(cause),
            _ => status.message().to_owned(),
        };
        Self::Call {
            code,
            message,
            retryable,
        }
    }
}
