//! How to fetch a request.

use std::time::Duration;

use crate::config::RequestLimits;

/// How to fetch a request. The defaults are those of the contract.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
    /// The time from the first dispatch to the last byte, retries included.
    /// Default: 30 s.
    pub timeout: Duration,
    /// How long the origin may send nothing. Default: 15 s.
    pub idle_timeout: Duration,
    /// The time for DNS, TCP and TLS together. Default: 5 s.
    pub connect_timeout: Duration,
    /// How many redirects to follow. If 0, a redirect is the response. Default: 10.
    pub max_redirects: u32,
    /// The largest body, in bytes. Default: 10 MiB.
    pub max_body_bytes: u64,
    /// What to do with a larger body. Default: the request fails.
    pub body_overflow: Overflow,
    /// The most attempts, the first included. Default: 3.
    pub max_attempts: u32,
}

/// What to do with a body above its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// End the request with `REASON_BODY_TOO_LARGE`.
    Fail,
    /// Truncate the body, and say so in the end of the request.
    Truncate,
}

impl Options {
    /// The highest `max_redirects`.
    pub(crate) const MAX_REDIRECTS: u32 = 20;
    /// The highest `max_attempts`.
    pub(crate) const MAX_ATTEMPTS: u32 = 10;

    /// Returns the options with each value lowered to its limit.
    #[must_use]
    pub(crate) fn lowered_to(self, limits: &RequestLimits) -> Self {
        Self {
            timeout: self.timeout.min(limits.max_timeout),
            // A longer idle timeout than the total timeout has no effect.
            idle_timeout: self.idle_timeout.min(limits.max_timeout),
            connect_timeout: self.connect_timeout.min(limits.max_timeout),
            max_redirects: self.max_redirects.min(Self::MAX_REDIRECTS),
            max_body_bytes: self.max_body_bytes.min(limits.max_body_bytes),
            body_overflow: self.body_overflow,
            max_attempts: self.max_attempts.min(Self::MAX_ATTEMPTS),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(5),
            max_redirects: 10,
            max_body_bytes: 10 << 20,
            body_overflow: Overflow::Fail,
            max_attempts: 3,
        }
    }
}
