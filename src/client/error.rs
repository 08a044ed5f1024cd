//! Why there is no complete response, as a caller sees it.

use std::error::Error as _;

use tonic::Status;

use crate::{
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
        /// The gRPC code, such as `UNAVAILABLE`.
        code: &'static str,
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
            code: "UNAVAILABLE",
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
        use tonic::Code;

        let is_transport = status.source().is_some();
        let (code, retryable) = match status.code() {
            // The connection broke; tonic does not know what that means.
            Code::Unknown if is_transport => ("UNAVAILABLE", true),
            Code::Ok => ("OK", false),
            Code::Cancelled => ("CANCELLED", true),
            Code::Unknown => ("UNKNOWN", true),
            Code::InvalidArgument => ("INVALID_ARGUMENT", false),
            Code::DeadlineExceeded => ("DEADLINE_EXCEEDED", true),
            Code::NotFound => ("NOT_FOUND", false),
            Code::AlreadyExists => ("ALREADY_EXISTS", false),
            Code::PermissionDenied => ("PERMISSION_DENIED", false),
            Code::ResourceExhausted => ("RESOURCE_EXHAUSTED", true),
            Code::FailedPrecondition => ("FAILED_PRECONDITION", false),
            Code::Aborted => ("ABORTED", true),
            Code::OutOfRange => ("OUT_OF_RANGE", false),
            Code::Unimplemented => ("UNIMPLEMENTED", false),
            Code::Internal => ("INTERNAL", false),
            Code::Unavailable => ("UNAVAILABLE", true),
            Code::DataLoss => ("DATA_LOSS", false),
            Code::Unauthenticated => ("UNAUTHENTICATED", false),
        };
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
