//! Request options.

use std::time::Duration;

use crate::config::RequestLimits;

/// How to fetch a request. The contract defines the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Options {
    /// The time limit from first dispatch to last byte, including retries. Default: 30 s.
    pub timeout: Duration,
    /// How long the origin may stay silent. Default: 15 s.
    pub idle_timeout: Duration,
    /// The time limit for DNS, TCP and TLS together. Default: 5 s.
    pub connect_timeout: Duration,
    /// How many redirects to follow. If this is 0, then a redirect is returned as the
    /// response. Default: 10.
    pub max_redirects: u32,
    /// The size limit for the body, in bytes. Default: 10 MiB.
    pub max_body_bytes: u64,
    /// What to do if the body exceeds that limit. Default: fail the request.
    pub body_overflow: Overflow,
    /// The maximum number of attempts, including the first. Default: 3.
    pub max_attempts: u32,
}

/// What to do with a body that exceeds its limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// Let the request fail with `REASON_BODY_TOO_LARGE`.
    Fail,
    /// Cut off the body, and mark the result as truncated.
    Truncate,
}

impl Options {
    /// The upper limit for `max_redirects`. Anything above is lowered to it.
    pub(crate) const MAX_REDIRECTS: u32 = 20;
    /// The upper limit for `max_attempts`. Anything above is lowered to it.
    pub(crate) const MAX_ATTEMPTS: u32 = 10;

    /// Lowers every value that exceeds its limit.
    #[must_use]
    pub(crate) fn lowered_to(self, limits: &RequestLimits) -> Self {
        Self {
            timeout: self.timeout.min(limits.max_timeout),
            // There's no separate limit for these. An idle timeout above the total
            // timeout wouldn't have any effect.
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
