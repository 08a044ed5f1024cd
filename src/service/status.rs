//! Every gRPC [`Status`] that we end a call with.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status, metadata::MetadataValue};
use tonic_types::{ErrorDetails, StatusExt};

use super::{batch::InvalidBatch, stall::Stall};

/// A limit that can keep us from accepting a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// `--max-batches`.
    Batches,
    /// `--max-batches-per-caller`.
    BatchesPerCaller,
    /// `--max-queued-bytes`.
    QueuedBytes,
    /// `--max-connections`.
    Connections,
    /// Auxiliary calls, either on one connection or in total.
    AuxiliaryCalls,
}

/// How long a caller should wait before it retries, if we had no room for its call.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The server is draining.
pub(crate) fn draining() -> Status {
    let details = ErrorDetails::with_error_info("DRAINING", "fetchd", HashMap::new());
    let message = "the server is draining; nothing was dispatched: call another replica";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// Either the server has reached `limit`, or the caller has used up its share.
pub(crate) fn server_full(limit: Limit) -> Status {
    let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
    let reached = match limit {
        Limit::BatchesPerCaller => "this caller has reached --max-batches-per-caller".to_owned(),
        limit => format!(
            "the server has reached {}, or this caller its share of it",
            limit.name()
        ),
    };
    let message = format!("{reached}; nothing was dispatched: retry in {RETRY_AFTER:?}");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// The call needs a token, and it has none that we know.
pub(crate) fn unauthenticated() -> Status {
    Status::unauthenticated("expected an authorization header with a valid token: Bearer TOKEN")
}

/// The batch is invalid. If the problem is a field, the details name it.
pub(super) fn invalid_argument(invalid: &InvalidBatch) -> Status {
    let details = match invalid {
        InvalidBatch::Field { field, problem } => {
            ErrorDetails::with_bad_request_violation(field, problem)
        }
        InvalidBatch::Malformed(_) => ErrorDetails::new(),
    };
    Status::with_error_details(Code::InvalidArgument, invalid.to_string(), details)
}

/// The request message has `length` bytes, but we only accept `max`.
pub(super) fn message_too_large(length: usize, max: usize) -> Status {
    Status::out_of_range(format!(
        "expected a request message of at most {max} bytes, got {length}"
    ))
}

/// The request message is compressed. The answer has to list the encodings that we accept
/// (see gRPC's `compression.md`).
pub(super) fn message_compressed() -> Status {
    let message = "expected an uncompressed request message (grpc-encoding: identity)";
    let mut status = Status::unimplemented(message);
    let identity = MetadataValue::from_static("identity");
    status
        .metadata_mut()
        .insert("grpc-accept-encoding", identity);
    status
}

/// There's a second request message in the call.
pub(super) fn second_message() -> Status {
    Status::invalid_argument("expected one request message, got more")
}

/// The request ended before its message was complete.
pub(super) fn message_incomplete() -> Status {
    Status::invalid_argument("expected one complete request message")
}

/// The request message didn't arrive in time.
pub(crate) fn message_late() -> Status {
    Status::deadline_exceeded("the request message did not arrive in time")
}

/// The request message is arriving too slowly: less than `bytes` in an `interval`.
pub(super) fn message_slow(bytes: usize, interval: Duration) -> Status {
    Status::deadline_exceeded(format!(
        "the request message arrived too slowly: expected at least {bytes} bytes in each \
         {interval:?} until it is complete"
    ))
}

/// The caller aborted the request, or its connection was lost, before we had the whole
/// message.
pub(super) fn request_aborted() -> Status {
    Status::cancelled("the request was aborted")
}

/// The caller isn't reading its response, or not fast enough.
pub(super) fn caller_stalled(stall: Stall) -> Status {
    Status::resource_exhausted(stall.to_string())
}

/// The scheduler never ended `count` of the requests. That's a bug.
pub(super) fn missing_ends(count: u32) -> Status {
    Status::internal(format!(
        "{count} requests have no end, which is a bug in the service"
    ))
}

impl Limit {
    fn name(self) -> &'static str {
        match self {
            Self::Batches => "--max-batches",
            Self::BatchesPerCaller => "--max-batches-per-caller",
            Self::QueuedBytes => "--max-queued-bytes",
            Self::Connections => "--max-connections",
            Self::AuxiliaryCalls => "its limit of health and reflection calls",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::fields::Malformed;

    #[test]
    fn each_status_has_its_code_and_details() {
        let field = InvalidBatch::Field {
            field: "timeout".to_owned(),
            problem: "expected more".to_owned(),
        };
        let malformed = InvalidBatch::Malformed(Malformed::CutShort);
        for (status, code) in [
            (draining(), Code::Unavailable),
            (server_full(Limit::Batches), Code::ResourceExhausted),
            (
                server_full(Limit::BatchesPerCaller),
                Code::ResourceExhausted,
            ),
            (server_full(Limit::QueuedBytes), Code::ResourceExhausted),
            (server_full(Limit::Connections), Code::ResourceExhausted),
            (server_full(Limit::AuxiliaryCalls), Code::ResourceExhausted),
            (unauthenticated(), Code::Unauthenticated),
            (invalid_argument(&field), Code::InvalidArgument),
            (invalid_argument(&malformed), Code::InvalidArgument),
            (message_too_large(2, 1), Code::OutOfRange),
            (message_compressed(), Code::Unimplemented),
            (second_message(), Code::InvalidArgument),
            (message_incomplete(), Code::InvalidArgument),
            (message_late(), Code::DeadlineExceeded),
            (message_slow(1, RETRY_AFTER), Code::DeadlineExceeded),
            (request_aborted(), Code::Cancelled),
            (caller_stalled(Stall::NothingTaken), Code::ResourceExhausted),
            (caller_stalled(Stall::TooSlow), Code::ResourceExhausted),
            (missing_ends(1), Code::Internal),
        ] {
            assert_eq!(status.code(), code, "{status:?}");
            let is_full = status.message().contains("has reached");
            let details = status.get_error_details();
            assert_eq!(details.retry_info().is_some(), is_full, "{status:?}");
            let is_draining = code == Code::Unavailable;
            assert_eq!(details.error_info().is_some(), is_draining, "{status:?}");
            let names_field = status.message().starts_with("timeout");
            assert_eq!(details.bad_request().is_some(), names_field, "{status:?}");
        }
    }
}
