//! gRPC status codes and their names. The service uses them in metrics and logs, the
//! client in its errors.

use std::fmt;

/// A gRPC status code (see [the list](https://grpc.io/docs/guides/status-codes/)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The call succeeded.
    Ok,
    /// The caller cancelled the call.
    Cancelled,
    /// An error without a more specific code.
    Unknown,
    /// The request is invalid, no matter what state the service is in.
    InvalidArgument,
    /// The deadline passed before the call completed.
    DeadlineExceeded,
    /// A requested entity doesn't exist.
    NotFound,
    /// The entity we tried to create already exists.
    AlreadyExists,
    /// We know who the caller is, but it isn't allowed to make this call.
    PermissionDenied,
    /// A limit or quota was reached.
    ResourceExhausted,
    /// The service isn't in the state this call needs.
    FailedPrecondition,
    /// The call was aborted, usually because it conflicted with another one.
    Aborted,
    /// A value is outside the accepted range.
    OutOfRange,
    /// The service doesn't implement this method.
    Unimplemented,
    /// Something is broken in the service or the transport.
    Internal,
    /// The service can't be reached or isn't taking calls right now. Retrying may help.
    Unavailable,
    /// Data was lost or corrupted.
    DataLoss,
    /// The caller didn't present valid credentials.
    Unauthenticated,
}

impl Code {
    /// Returns the code's name in gRPC spelling, e.g. `UNAVAILABLE`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::Cancelled => "CANCELLED",
            Self::Unknown => "UNKNOWN",
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::NotFound => "NOT_FOUND",
            Self::AlreadyExists => "ALREADY_EXISTS",
            Self::PermissionDenied => "PERMISSION_DENIED",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::FailedPrecondition => "FAILED_PRECONDITION",
            Self::Aborted => "ABORTED",
            Self::OutOfRange => "OUT_OF_RANGE",
            Self::Unimplemented => "UNIMPLEMENTED",
            Self::Internal => "INTERNAL",
            Self::Unavailable => "UNAVAILABLE",
            Self::DataLoss => "DATA_LOSS",
            Self::Unauthenticated => "UNAUTHENTICATED",
        }
    }

    /// Returns the code's number on the wire.
    #[cfg(feature = "server")]
    pub(crate) fn number(self) -> i32 {
        // They're declared in the order of their numbers, starting at 0.
        self as i32
    }

    /// Converts the code of a tonic status.
    pub(crate) fn of(status: &tonic::Status) -> Self {
        match status.code() {
            tonic::Code::Ok => Self::Ok,
            tonic::Code::Cancelled => Self::Cancelled,
            tonic::Code::Unknown => Self::Unknown,
            tonic::Code::InvalidArgument => Self::InvalidArgument,
            tonic::Code::DeadlineExceeded => Self::DeadlineExceeded,
            tonic::Code::NotFound => Self::NotFound,
            tonic::Code::AlreadyExists => Self::AlreadyExists,
            tonic::Code::PermissionDenied => Self::PermissionDenied,
            tonic::Code::ResourceExhausted => Self::ResourceExhausted,
            tonic::Code::FailedPrecondition => Self::FailedPrecondition,
            tonic::Code::Aborted => Self::Aborted,
            tonic::Code::OutOfRange => Self::OutOfRange,
            tonic::Code::Unimplemented => Self::Unimplemented,
            tonic::Code::Internal => Self::Internal,
            tonic::Code::Unavailable => Self::Unavailable,
            tonic::Code::DataLoss => Self::DataLoss,
            tonic::Code::Unauthenticated => Self::Unauthenticated,
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
