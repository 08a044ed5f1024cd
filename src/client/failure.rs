//! Failed calls, and what happens to their requests.

use std::{error::Error as StdError, time::Duration};

use tonic::Status;
use tonic_types::StatusExt;

use super::Error;
use crate::{Code, causes::chain, proto::Reason};

/// A failed call.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// The error to return to the caller, if we don't send the request again.
    pub(super) error: Error,
    pub(super) disposition: Disposition,
}

/// Tells us two things about a failed call: if we may send its requests again, and if we
/// should blame the replica.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Disposition {
    /// Sending the requests again wouldn't change the result.
    Final,
    /// The replica rejected the call without dispatching anything. Another replica may
    /// accept it.
    Refused,
    /// Nothing was dispatched, so we may send all requests again.
    NotDispatched {
        /// Set if the replica is full. It may have room again after this time.
        retry_after: Option<Duration>,
    },
    /// The call never left the client, or it came back unprocessed. We may send all
    /// requests again, and it isn't the replica's fault.
    Unsent,
    /// The peer isn't a fetchd service, or it doesn't accept this client. We may send
    /// all requests to another replica.
    Foreign,
    /// The requests may have been dispatched, so we may only send the idempotent ones
    /// again.
    Lost,
}

impl Failure {
    /// The call failed before its response began.
    pub(super) fn before_response(status: &Status) -> Self {
        Self {
            error: Error::from_status(status),
            disposition: Disposition::of_status(status),
        }
    }

    /// The call failed in the middle of its response. Pass true as `is_empty` if no
    /// message had arrived yet.
    pub(super) fn interrupted(status: &Status, is_empty: bool) -> Self {
        // If a web server rejects our call, tonic only notices when it reads the body,
        // so the rejection looks like an interrupted response. We can tell the two apart
        // since nothing has arrived and there's no transport error. OUT_OF_RANGE doesn't
        // count, since the decoder reports it for bytes that aren't a message.
        let is_rejection =
            is_empty && status.source().is_none() && Code::of(status) != Code::OutOfRange;
        if is_rejection {
            Self::before_response(status)
        } else {
            Self::lost(Error::from_status(status))
        }
    }

    /// The call failed, and it may have dispatched its requests.
    pub(super) fn lost(error: Error) -> Self {
        Self {
            error,
            disposition: Disposition::Lost,
        }
    }

    /// The call failed, and no replica would have dispatched it.
    pub(super) fn refused(error: Error) -> Self {
        Self {
            error,
            disposition: Disposition::Refused,
        }
    }

    /// Names the replica that failed.
    pub(super) fn at(self, replica: &str) -> Self {
        Self {
            error: self.error.at(replica),
            ..self
        }
    }

    /// Returns the error for a request that we don't send again.
    pub(super) fn final_error(&self) -> Error {
        let error = self.error.clone();
        match self.disposition {
            Disposition::Lost => error.maybe_dispatched(),
            _ => error,
        }
    }

    /// The service sent nothing for `timeout`.
    pub(super) fn silent(timeout: Duration) -> Self {
        Self::lost(Error::service_lost(format!(
            "the service sent nothing for {timeout:?} while requests were open"
        )))
    }
}

impl Disposition {
    /// Returns the disposition for a request that ended with `error` after this many
    /// attempts.
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
            // Replicas may read a new token at different times, so another one may accept
            // ours. But there's no point in waiting for that.
            Code::InvalidArgument | Code::OutOfRange | Code::Unauthenticated => Self::Refused,
            Code::Unavailable if is_draining(status) => Self::NotDispatched { retry_after: None },
            Code::ResourceExhausted => match status.get_details_retry_info() {
                Some(retry) => Self::NotDispatched {
                    retry_after: retry.retry_delay,
                },
                None => Self::Lost,
            },
            Code::Unimplemented | Code::PermissionDenied => Self::Foreign,
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
            // In both of these cases the peer hasn't processed the call (RFC 9113,
            // sections 6.8 and 8.7). GOAWAY is how a closing connection rejects calls
            // that came in after its last one.
            if error.is_go_away() {
                return Self::Unsent;
            }
            if error.reason() == Some(h2::Reason::REFUSED_STREAM) {
                return Self::NotDispatched { retry_after: None };
            }
        }
        // We started the call while the connection was already closing.
        if find::<hyper::Error>(cause).any(hyper::Error::is_canceled) {
            return Self::Unsent;
        }
        Self::Lost
    }
}

/// Returns all errors of type `E` in the cause chain.
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
            (Status::unauthenticated(""), Disposition::Refused),
            (Status::permission_denied(""), Disposition::Foreign),
            (Status::unimplemented(""), Disposition::Foreign),
        ] {
            assert_eq!(Disposition::of_status(&status), expected, "{status:?}");
        }
    }
}
