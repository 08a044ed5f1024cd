//! What the failure of a call means for the requests that had no end yet.

use std::{error::Error as _, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::Error;
use crate::causes::chain;

/// A call that failed.
#[derive(Debug, Clone)]
pub(super) struct Failure {
    /// As the caller sees it.
    pub(super) error: Error,
    pub(super) meaning: Meaning,
}

/// What another service, or the same one later, may do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// Nothing: the same would come of the same requests.
    Final,
    /// Everything: nothing was dispatched. The service should be left alone for
    /// this long, where it said so.
    NotDispatched(Option<Duration>),
    /// Everything: it never left the client, and the service is not to blame.
    Unsent,
    /// What may be sent twice: the connection broke, or the service went.
    Lost,
}

impl From<Status> for Failure {
    fn from(status: Status) -> Self {
        let meaning = meaning(&status);
        Self {
            error: status.into(),
            meaning,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self {
            error,
            meaning: Meaning::Final,
        }
    }
}

fn meaning(status: &Status) -> Meaning {
    let is_transport = status.source().is_some();
    let causes = || status.source().into_iter().flat_map(chain);
    if causes().any(|cause| cause.downcast_ref::<tonic::ConnectError>().is_some()) {
        return Meaning::NotDispatched(None);
    }
    // A call that begins as the connection is being closed.
    let unsent = |error: &hyper::Error| error.is_canceled();
    if causes().any(|cause| cause.downcast_ref().is_some_and(unsent)) {
        return Meaning::Unsent;
    }
    match status.code() {
        Code::Unavailable if is_draining(status) => Meaning::NotDispatched(None),
        Code::ResourceExhausted => match status.get_details_retry_info() {
            Some(retry) => Meaning::NotDispatched(retry.retry_delay),
            // Nothing was taken for too long.
            None => Meaning::Final,
        },
        Code::Unavailable | Code::Cancelled | Code::Aborted => Meaning::Lost,
        Code::Unknown | Code::Internal if is_transport => Meaning::Lost,
        _ => Meaning::Final,
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
                with(Code::Unavailable, draining),
                Meaning::NotDispatched(None),
            ),
            (
                with(Code::ResourceExhausted, full),
                Meaning::NotDispatched(wait),
            ),
            (Status::unavailable(""), Meaning::Lost),
            (Status::cancelled(""), Meaning::Lost),
            (Status::resource_exhausted(""), Meaning::Final),
            (Status::invalid_argument(""), Meaning::Final),
            (Status::internal(""), Meaning::Final),
            (Status::unauthenticated(""), Meaning::Final),
        ] {
            assert_eq!(meaning(&status), meant, "{status:?}");
        }
    }
}
