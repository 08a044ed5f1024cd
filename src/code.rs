//! The status codes of gRPC and their names, for the service's metrics and logs and for
//! the client's errors.

use std::fmt;

/// The status code of a gRPC call
/// ([the list](https://grpc.io/docs/guides/status-codes/)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// The call succeeded.
    Ok,
    /// The caller cancelled the call.
    Cancelled,
    /// The error has no code of its own.
    Unknown,
    /// The request is not valid, whatever the state of the service.
    InvalidArgument,
    /// The deadline passed before the call was complete.
    DeadlineExceeded,
    /// A requested entity does not exist.
    NotFound,
    /// An entity to be created already exists.
    AlreadyExists,
    /// The caller is known, and may not make this call.
    PermissionDenied,
    /// A limit or quota is reached.
    ResourceExhausted,
    /// The service is not in the state that the call requires.
    FailedPrecondition,
    /// The call was aborted, usually by a conflict with another one.
    Aborted,
    /// A value is beyond the accepted range.
    OutOfRange,
    /// The service does not have the method.
    Unimplemented,
    /// The service, or the transport, has a fault.
    Internal,
    /// The service cannot be reached or takes no calls. A retry may succeed.
    Unavailable,
    /// Data is lost or corrupted.
    DataLoss,
    /// The caller has no accepted credential.
    Unauthenticated,
}

impl Code {
    /// Returns the name of the code as gRPC spells it, such as `UNAVAILABLE`.
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

    /// Returns the code of a tonic status.
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
