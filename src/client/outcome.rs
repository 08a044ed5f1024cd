//! The outcome of one request.

use super::{Error, FetchStats, Response, failure::Disposition};

/// The outcome of one request: a response, an error, or both if the body was cut
/// short.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The position of the request in its list.
    pub index: usize,
    /// The response of the origin.
    pub response: Option<Response>,
    /// The error. `None` if the response is complete.
    pub error: Option<Error>,
    /// Counts and durations.
    pub stats: FetchStats,
}

impl Outcome {
    /// Returns the response in reqwest's type.
    ///
    /// # Errors
    ///
    /// The error of the outcome, even if a part of the response has arrived.
    pub fn into_result(self) -> Result<reqwest::Response, Error> {
        match (self.error, self.response) {
            (Some(error), _) => Err(error),
            (None, Some(response)) => Ok(response.into_reqwest(self.stats)),
            (None, None) => Err(Error::contract("an end with neither response nor error")),
        }
    }

    /// Returns the outcome of a request that failed before any part of it arrived.
    pub(super) fn failed(index: usize, error: Error) -> Self {
        Self {
            index,
            response: None,
            error: Some(error),
            stats: FetchStats::default(),
        }
    }

    /// Returns the size of the body.
    pub(super) fn body_bytes(&self) -> usize {
        let response = self.response.as_ref();
        response.map_or(0, |response| response.body.len())
    }

    /// Returns whether the request may be sent again.
    pub(super) fn disposition(&self) -> Disposition {
        match &self.error {
            Some(error) => Disposition::of_end(error, self.stats.attempts),
            None => Disposition::Final,
        }
    }
}
