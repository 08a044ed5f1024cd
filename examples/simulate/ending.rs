//! How a request has ended, and whether it may end like that.

use fetchd::{
    Code,
    client::{Error, Outcome},
    proto::Reason,
};

use crate::{body, oracle::Request};

/// What a caller gets in the end.
#[derive(Debug)]
pub(crate) struct Ending<'a> {
    pub(crate) error: Option<&'a Error>,
    /// The status and the body of the response.
    pub(crate) response: Option<(u16, &'a [u8])>,
    /// How many attempts the service has made, if that's known.
    pub(crate) attempts: Option<u32>,
}

/// What may have happened to a request without anybody being to blame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Excuses {
    /// Its replica may have been lost.
    pub(crate) may_be_lost: bool,
    /// The service may have had no room for it.
    pub(crate) may_be_full: bool,
    /// A drain may have cut it short.
    pub(crate) may_be_cut: bool,
}

impl<'a> Ending<'a> {
    pub(crate) fn of(outcome: &'a Outcome) -> Self {
        let response = outcome.response.as_ref();
        Self {
            error: outcome.error.as_ref(),
            response: response.map(|response| (response.status.as_u16(), &response.body[..])),
            attempts: Some(outcome.stats.attempts),
        }
    }

    /// Returns a word for the timeline.
    pub(crate) fn name(&self) -> &'static str {
        self.error.map_or("OK", Error::name)
    }

    /// Returns what's wrong with it, if anything.
    pub(crate) fn problem(&self, id: usize, request: &Request, excuses: Excuses) -> Option<String> {
        let Some(error) = self.error else {
            return self.problem_of_success(id, request);
        };
        let was_full = excuses.may_be_full && is_of_a_full_service(error);
        // Others are sent again.
        let was_cut = request.is_post && self.was_cut_by_a_drain();
        match error {
            Error::Contract { .. } => Some(format!("request {id} has a broken contract: {error}")),
            Error::Call { code, .. } if *code == Code::Internal => {
                Some(format!("request {id} has found a bug: {error}"))
            }
            Error::ServiceLost { .. } if !excuses.may_be_lost && !was_full => Some(format!(
                "request {id} is lost long after all faults: {error}"
            )),
            _ if was_cut && !excuses.may_be_cut => Some(format!(
                "request {id} was cut by a drain that had time for it: {error}"
            )),
            _ if request.must_succeed && !was_full && !was_cut => {
                Some(format!("request {id} has failed for no reason: {error}"))
            }
            _ if request.is_post && request.executed > 0 && self.denial(request).is_some() => {
                Some(format!("POST {id} was executed in spite of: {error}"))
            }
            _ => None,
        }
    }

    fn problem_of_success(&self, id: usize, request: &Request) -> Option<String> {
        if request.executed == 0 {
            return Some(format!("request {id} was not sent, but has a response"));
        }
        let is_own = self
            .response
            .is_some_and(|(status, body)| body::belongs_to(body, id, status));
        (!is_own).then(|| format!("request {id} has another response than its own"))
    }

    /// Returns true if a replica has stopped while it fetched the request.
    fn was_cut_by_a_drain(&self) -> bool {
        let was_stopped = self.error.and_then(Error::reason) == Some(Reason::ShuttingDown);
        was_stopped && self.attempts != Some(0)
    }

    /// Returns its error if that says that the request was not executed.
    pub(crate) fn denial(&self, request: &Request) -> Option<String> {
        let error = self.error.filter(|_| !self.admits_execution(request));
        error.map(Error::to_string)
    }

    /// Returns true if a request that ends like this may have been executed.
    fn admits_execution(&self, request: &Request) -> bool {
        let was_dispatched = self.attempts.is_some_and(|attempts| attempts > 0);
        match self.error {
            // There was no connection, unless it's about the target of a redirect.
            Some(Error::Fetch {
                reason: Reason::Dns | Reason::Connect | Reason::Tls | Reason::Blocked,
                ..
            }) => request.was_redirected,
            Some(Error::Fetch { .. }) if self.attempts != Some(0) => true,
            // The response had begun.
            Some(Error::ServiceLost { .. } | Error::Call { .. }) if was_dispatched => true,
            Some(
                Error::Fetch { message, .. }
                | Error::ServiceLost { message, .. }
                | Error::Call { message, .. },
            ) => message.contains("may have reached its origin"),
            _ => false,
        }
    }
}

/// Returns true if a request may end like this because the service had no room for it.
fn is_of_a_full_service(error: &Error) -> bool {
    let message = error.to_string();
    let parts = ["RESOURCE_EXHAUSTED", "no replica accepted"];
    parts.iter().any(|part| message.contains(part))
}
