//! Why a request has no complete response.

use std::error::Error as StdError;

use tonic::Status;

use super::dial::DialError;
use crate::{
    Code,
    causes::{chain, with_causes},
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
    /// The service is gone: no replica answered for as long as we wait, or a replica was
    /// lost with the request and we must not send it again.
    ///
    /// In the latter case the request may have reached its origin.
    #[error("the call failed (UNAVAILABLE): {message}")]
    #[non_exhaustive]
    ServiceLost {
        /// A human-readable description with the addresses of the replicas and the last
        /// failure.
        message: String,
    },
    /// The service answered the call with an error, so the request has no result. An
    /// example is a service that has no room for another batch.
    #[error("the call failed ({code}): {message}")]
    #[non_exhaustive]
    Call {
        /// The call's status code, e.g. [`Code::ResourceExhausted`].
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

    /// Returns the error's name, as `fetchd get` prints it: the name of the reason, such
    /// as `BLOCKED` or `TIMEOUT`, or one of these:
    ///
    /// - `SERVICE_LOST` for [`Error::ServiceLost`],
    /// - `CALL_FAILED` for [`Error::Call`],
    /// - `CONTRACT_BROKEN` for [`Error::Contract`],
    /// - `INVALID_REQUEST` for [`Error::Unsendable`], since the service would give the same
    ///   reason.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Fetch { reason, .. } => {
                let name = reason.as_str_name();
                name.strip_prefix("REASON_").unwrap_or(name)
            }
            Self::ServiceLost { .. } => "SERVICE_LOST",
            Self::Call { .. } => "CALL_FAILED",
            Self::Unsendable { .. } => "INVALID_REQUEST",
            Self::Contract { .. } => "CONTRACT_BROKEN",
        }
    }

    /// Returns true if the same request may succeed later.
    ///
    /// Note that the request may have reached its origin even though it failed. If it
    /// isn't idempotent, make sure it's safe to send twice before you do.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Fetch { retryable, .. } | Self::Call { retryable, .. } => *retryable,
            Self::ServiceLost { .. } => true,
            Self::Unsendable { .. } | Self::Contract { .. } => false,
        }
    }

    /// A setting or a URL isn't valid.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::Call {
            code: Code::InvalidArgument,
            message: message.into(),
            retryable: false,
        }
    }

    pub(super) fn contract(message: &'static str) -> Self {
        Self::Contract { message }
    }

    pub(super) fn unsendable(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::Unsendable { message }
    }

    pub(super) fn service_lost(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::ServiceLost { message }
    }

    pub(super) fn from_transport(error: &tonic::transport::Error) -> Self {
        Self::service_lost(description(error))
    }

    pub(super) fn from_fetch(error: proto::FetchError) -> Self {
        Self::Fetch {
            reason: error.reason(),
            message: error.message,
            retryable: error.retryable,
        }
    }

    pub(super) fn from_status(status: &Status) -> Self {
        let message = match status.source() {
            Some(cause) => description(cause),
            None => status.message().to_owned(),
        };
        match Code::of(status) {
            // tonic has no code for a broken connection, nor for a stream without a
            // status, which is what a proxy leaves if it cuts one.
            Code::Unknown => Self::ServiceLost { message },
            Code::Unavailable if status.source().is_some() => Self::ServiceLost { message },
            code => Self::Call {
                code,
                message,
                retryable: is_transient(code),
            },
        }
    }

    /// Adds the address of the replica that failed, if the service was lost.
    pub(super) fn at(mut self, replica: &str) -> Self {
        if let Self::ServiceLost { message } = &mut self {
            message.insert_str(0, ": ");
            message.insert_str(0, replica);
        }
        self
    }

    /// Says that the request may have been dispatched, if nobody knows any better.
    pub(super) fn maybe_dispatched(mut self) -> Self {
        if let Self::ServiceLost { message }
        | Self::Call { message, .. }
        | Self::Fetch { message, .. } = &mut self
        {
            message.push_str("; the request may have reached its origin and was not sent again");
        }
        self
    }

    /// Returns the text to quote in the message of another [`Error::ServiceLost`].
    pub(super) fn cause(&self) -> String {
        match self {
            Self::ServiceLost { message } => message.clone(),
            other => other.to_string(),
        }
    }

    /// Adds `url` to the message. It has to be redacted already.
    pub(super) fn for_url(mut self, url: &str) -> Self {
        if let Self::Fetch { message, .. }
        | Self::ServiceLost { message }
        | Self::Call { message, .. } = &mut self
        {
            message.extend([" for url (", url, ")"]);
        }
        self
    }
}

/// Describes a broken connection. If there wasn't one yet, we leave out that tonic calls it
/// a transport error.
fn description(error: &(dyn StdError + 'static)) -> String {
    let dial = chain(error).find(|error| error.is::<DialError>());
    with_causes(dial.unwrap_or(error))
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
