//! What the failure of a call means for the requests that had no end yet.

use std::{error::Error as _, time::Duration};

use tonic::Status;
use tonic_types::StatusExt;

use super::Error;
use crate::Code;

use crate::causes::chain;

/// A call that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// As the caller sees it.
    pub(super) error: Error,
    pub(super) meaning: Meaning,
}

/// What another replica, or the same one later, may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing: the same would come of the same requests.
    Final,
    /// Another replica may accept it: this one did not, and dispatched nothing.
    Refused,
    /// Everything: nothing was dispatched. The replica should be left alone for
    /// this long, if it said so.
    NotDispatched(Option<Duration>),
    /// Everything: the call never left the client, or was given back, and the
    /// replica is not to blame.
    Unsent,
    /// Everything: what answered is not this service, or does not know the caller.
    Foreign,
    /// The idempotent requests: the others may have been dispatched.
    Lost,
}

impl Failure {
    /// A call that was refused before its response began.
    pub(super) fn unopened(status: Status) -> Self {
        let meaning = meaning(&status);
        Self {
            error: status.into(),
            meaning,
        }
    }

    /// A call whose response broke off, before any message if it `is_empty`.
    pub(super) fn cut(status: Status, is_empty: bool) -> Self {
        // A web server's refusal looks like a response until it is read. This code
        // is also what the decoder says of bytes that are no message.
        let is_refusal =
            is_empty && status.source().is_none() && Code::of(&status) != Code::OutOfRange;
        if is_refusal {
            Self::unopened(status)
        } else {
            Self::lost(status.into())
        }
    }

    /// A call that may have dispatched its requests.
    pub(super) fn lost(error: Error) -> Self {
        Self {
            error,
            meaning: Meaning::Lost,
        }
    }

    /// A call of which nothing was heard for `limit`.
    pub(super) fn silent(limit: Duration) -> Self {
        Self::lost(Error::Call {
            code: Code::Unavailable,
            message: format!("the service said nothing for {limit:?} while requests were open"),
            retryable: true,
        })
    }
}

fn meaning(status: &Status) -> Meaning {
    let causes = || status.source().into_iter().flat_map(chain);
    if causes().any(|cause| cause.downcast_ref::<tonic::ConnectError>().is_some()) {
        return Meaning::NotDispatched(None);
    }
    if let Some(error) = causes().find_map(|cause| cause.downcast_ref::<h2::Error>())
        && error.is_remote()
    {
        // RFC 9113, 6.8 and 8.7: neither was acted on. A connection that ends
        // refuses the calls above its last one with the first.
        if error.is_go_away() {
            return Meaning::Unsent;
        }
        if error.reason() == Some(h2::Reason::REFUSED_STREAM) {
            return Meaning::NotDispatched(None);
        }
    }
    // A call that begins as the connection is being closed.
    let unsent = |error: &hyper::Error| error.is_canceled();
    if causes().any(|cause| cause.downcast_ref().is_some_and(unsent)) {
        return Meaning::Unsent;
    }
    if status.source().is_some() {
        return Meaning::Lost;
    }
    match Code::of(status) {
        Code::InvalidArgument | Code::OutOfRange => Meaning::Refused,
        Code::Unavailable if is_draining(status) => Meaning::NotDispatched(None),
        Code::ResourceExhausted => match status.get_details_retry_info() {
            Some(retry) => Meaning::NotDispatched(retry.retry_delay),
            None => Meaning::Lost,
        },
        Code::Unimplemented | Code::Unauthenticated | Code::PermissionDenied => Meaning::Foreign,
        _ => Meaning::Lost,
    }
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
    fn a_failure_says_whether_anything_was_dispatched() {
        let with = |code, details| Status::with_error_details(code, "", details);
        let draining = ErrorDetails::with_error_info("DRAINING", "fetchd", HashMap::new());
        let wait = Some(Duration::from_secs(1));
        let full = ErrorDetails::with_retry_info(wait);
        for (status, meant) in [
            (
                with(tonic::Code::Unavailable, draining),
                Meaning::NotDispatched(None),
            ),
            (
                with(tonic::Code::ResourceExhausted, full),
                Meaning::NotDispatched(wait),
            ),
            (Status::unavailable(""), Meaning::Lost),
            (Status::cancelled(""), Meaning::Lost),
            (Status::resource_exhausted(""), Meaning::Lost),
            (Status::invalid_argument(""), Meaning::Refused),
            (Status::out_of_range(""), Meaning::Refused),
            (Status::internal(""), Meaning::Lost),
            (Status::unauthenticated(""), Meaning::Foreign),
            (Status::unimplemented(""), Meaning::Foreign),
        ] {
            assert_eq!(meaning(&status), meant, "{status:?}");
        }
    }
}
