//! The failure of a call, and its consequence for the requests in it.

use std::{error::Error as StdError, time::Duration};

use tonic::Status;
use tonic_types::StatusExt;

use super::Error;
use crate::{Code, causes::chain, proto::Reason};

/// The failure of a call.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The error for the caller.
    pub(super) error: Error,
    pub(super) disposition: Disposition,
}

/// Whether the requests of a failed call may be sent again, and whether the replica is
/// to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Sending the requests again would have the same result.
    Final,
    /// The replica rejected the call and dispatched nothing. Another replica may
    /// accept it.
    Refused,
    /// Nothing was dispatched: every request may be sent again.
    NotDispatched {
        /// Set if the replica is full: the time after which it may have room.
        retry_after: Option<Duration>,
    },
    /// The call never left the client or was handed back unprocessed: every request may
    /// be sent again, and the replica is not to blame.
    Unsent,
    /// The peer is not a fetchd service or does not accept this client: every request
    /// may be sent to another replica.
    Foreign,
    /// The requests may have been dispatched: only idempotent ones may be sent again.
    Lost,
}

impl Failure {
    /// Returns the failure of a call that ended before its response began.
    pub(super) fn before_response(status: &Status) -> Self {
        Self {
            error: Error::from_status(status),
            disposition: Disposition::of_status(status),
        }
    }

    /// Returns the failure of a call whose response was interrupted. `is_empty` is true
    /// if no message had arrived.
    pub(super) fn interrupted(status: &Status, is_empty: bool) -> Self {
        // The rejection of a web server looks like a response until it is read. The
        // decoder reports OUT_OF_RANGE for bytes that are not a message.
        let is_rejection =
            is_empty && status.source().is_none() && Code::of(status) != Code::OutOfRange;
        if is_rejection {
            Self::before_response(status)
        } else {
            Self::lost(Error::from_status(status))
        }
    }

    /// Returns the failure of a call that may have dispatched its requests.
    pub(super) fn lost(error: Error) -> Self {
        Self {
            error,
            disposition: Disposition::Lost,
        }
    }

    /// Returns the failure of a call whose service sent nothing for `timeout`.
    pub(super) fn silent(timeout: Duration) -> Self {
        Self::lost(Error::unavailable(format!(
            "the service sent nothing for {timeout:?} while requests were open"
        )))
    }
}

impl Disposition {
    /// Returns the disposition of a request that ended with `error` after this number
    /// of attempts.
    pub(super) fn of_end(error: &Error, attempts: u32) -> Self {
        match (error.reason(), attempts) {
            (Some(Reason::ShuttingDown), 0) => Self::NotDispatched { retry_after: None },
            (Some(Reason::ShuttingDown), _) => Self::Lost,
            _ => Self::Final,
        }
    }

    fn of_status(status: &Status) -> Self {
        if let Some(cause) = status.source() {
            return Self::of_broken_connection(cause);
        }
        match Code::of(status) {
            Code::InvalidArgument | Code::OutOfRange => Self::Refused,
            Code::Unavailable if is_draining(status) => Self::NotDispatched { retry_after: None },
            Code::ResourceExhausted => match status.get_details_retry_info() {
                Some(retry) => Self::NotDispatched {
                    retry_after: retry.retry_delay,
                },
                None => Self::Lost,
            },
            Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied => Self::Foreign,
            _ => Self::Lost,
        }
    }

    fn of_broken_connection(cause: &(dyn StdError + 'static)) -> Self {
        if find::<tonic::ConnectError>(cause).next().is_some() {
            return Self::NotDispatched { retry_after: None };
        }
        if let Some(error) = find::<h2::Error>(cause).next()
            && error.is_remote()
        {
            // RFC 9113, 6.8 and 8.7: the peer processed neither of the two. A
            // connection that ends rejects the calls above its last one with GOAWAY.
            if error.is_go_away() {
                return Self::Unsent;
            }
            if error.reason() == Some(h2::Reason::REFUSED_STREAM) {
                return Self::NotDispatched { retry_after: None };
            }
        }
        // The call began while the connection was being closed.
        if find::<hyper::Error>(cause).any(hyper::Error::is_canceled) {
            return Self::Unsent;
        }
        Self::Lost
    }
}

/// Returns the errors of type `E` in the chain of causes.
fn find<'a, E: StdError + 'static>(
    cause: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a E> {
    chain(cause).filter_map(|cause| cause.downcast_ref())
}

fn is_draining(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.reason == "DRAINING" && info.domain == "fetchd")
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn status_tells_whether_anything_was_dispatched() {
        let with = |code, details| Status::with_error_details(code, "", details);
        let draining = ErrorDetails::with_error_info("DRAINING", "fetchd", HashMap::new());
        let retry_after = Some(Duration::from_secs(1));
        let full = ErrorDetails::with_retry_info(retry_after);
        for (status, expected) in [
            (
                with(tonic::Code::Unavailable, draining),
                Disposition::NotDispatched { retry_after: None },
            ),
            (
                with(tonic::Code::ResourceExhausted, full),
                Disposition::NotDispatched { retry_after },
            ),
            (Status::unavailable(""), Disposition::Lost),
            (Status::cancelled(""), Disposition::Lost),
            (Status::resource_exhausted(""), Disposition::Lost),
            (Status::invalid_argument(""), Disposition::Refused),
            (Status::out_of_range(""), Disposition::Refused),
            (Status::internal(""), Disposition::Lost),
            (Status::unauthenticated(""), Disposition::Foreign),
            (Status::unimplemented(""), Disposition::Foreign),
        ] {
            assert_eq!(Disposition::of_status(&status), expected, "{status:?}");
        }
    }
}
