//! How one request ended.

use std::time::SystemTime;

use super::{Error, FetchStats, Response, failure::Disposition};

/// How one request ended: with a response, an error, or both if the body was cut short.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The request's position in the list.
    pub index: usize,
    /// The origin's response.
    pub response: Option<Response>,
    /// The error, or `None` if the response is complete.
    pub error: Option<Error>,
    /// Counts and durations.
    pub stats: FetchStats,
    /// When the request ended, by this machine's clock: when its end arrived from the
    /// service, or when the client gave up. It was first dispatched `stats.total` before.
    ///
    /// If the request was lost with a replica and sent again, then `stats` is about the
    /// last time it was sent.
    pub ended: SystemTime,
}

impl Outcome {
    /// Converts the response to reqwest's type.
    ///
    /// # Errors
    ///
    /// Fails if the outcome has an error, even if we have part of the response.
    pub fn into_result(self) -> Result<reqwest::Response, Error> {
        match (self.error, self.response) {
            (Some(error), _) => Err(error),
            (None, Some(response)) => Ok(response.into_reqwest(self.stats)),
            (None, None) => Err(Error::contract("an end with neither response nor error")),
        }
    }

    /// The outcome of a request that failed before we had any part of its response.
    pub(super) fn failed(index: usize, error: Error) -> Self {
        Self {
            index,
            response: None,
            error: Some(error),
            stats: FetchStats::default(),
            ended: SystemTime::now(),
        }
    }

    /// Returns the body size.
    pub(super) fn body_bytes(&self) -> usize {
        let response = self.response.as_ref();
        response.map_or(0, |response| response.body.len())
    }

    /// Tells us if we may send the request again.
    pub(super) fn disposition(&self) -> Disposition {
        match &self.error {
            Some(error) => Disposition::of_end(error, self.stats.attempts),
            None => Disposition::Final,
        }
    }
}
