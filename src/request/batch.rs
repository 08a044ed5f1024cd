//! The requests of a call.
//!
//! We keep requests in their encoded form until they get a slot, so a waiting request
//! doesn't cost much memory. Requests that can be sent are referred to by an index type
//! of their own, [`Sendable`]. The others are just kept in a list and end with an error.

use std::fmt;

use tokio::time::Instant;

use super::{InvalidRequest, Request};
use crate::caller::{Caller, Identity};

/// A list of requests. Each of them ends exactly once.
pub(crate) struct Batch {
    pub id: BatchId,
    /// The parent of everything we log about the batch. It names the batch and its caller.
    pub span: tracing::Span,
    /// All requests, in the order the caller sent them in.
    pub requests: Requests,
    /// Whose batch it is.
    pub identity: Identity,
    /// How many requests may be in flight at once. At least 1.
    pub concurrency: usize,
    /// When we received the caller's headers. All waits are counted from this point.
    pub arrival: Instant,
    /// If there's a deadline, all requests that are still unfinished end at this time.
    pub deadline: Option<Instant>,
}

/// Tells batches apart in logs, in traces and on the admin page. It's random, so that it
/// differs between replicas too, and is written as 16 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct BatchId(u64);

/// Encoded requests. These take little memory.
pub(crate) trait EncodedRequests: Send + Sync {
    /// Returns how many requests there are.
    fn count(&self) -> u32;

    /// Decodes the request at `index`. If it can't be sent, returns the error that it
    /// ends with.
    fn decode(&self, index: u32) -> Result<Request, InvalidRequest>;
}

/// The requests of a batch, separated into those that can be sent and those that can't.
pub(crate) struct Requests {
    encoded: Box<dyn EncodedRequests>,
    /// The indices of all requests that can't be sent, in ascending order.
    refused: Vec<u32>,
}

/// The index of a request that can be sent. Since it can only come from
/// [`Requests::sendable`], no other request can get a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sendable(u32);

impl BatchId {
    pub(crate) fn random() -> Self {
        Self(fastrand::u64(..))
    }
}

impl fmt::Display for BatchId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Batch {
    /// Returns who the batch's limits and shares are counted for.
    pub(crate) fn caller(&self) -> Caller {
        self.identity.caller
    }
}

impl Requests {
    /// Creates the list. We assume that all requests can be sent, until
    /// [`Requests::check`] finds one that can't.
    pub(crate) fn new(encoded: impl EncodedRequests + 'static) -> Self {
        Self {
            encoded: Box::new(encoded),
            refused: Vec::new(),
        }
    }

    /// Decodes the request at `index` to see if it can be sent, and sets it apart if it
    /// can't. Note that indices have to be checked in ascending order.
    pub(crate) fn check(&mut self, index: u32) {
        debug_assert!(self.refused.last().is_none_or(|last| *last < index));
        if self.encoded.decode(index).is_err() {
            self.refused.push(index);
        }
    }

    /// Returns the number of requests, including those that can't be sent.
    pub(crate) fn count(&self) -> u32 {
        self.encoded.count()
    }

    /// Iterates over all requests that can be sent, in order.
    pub(crate) fn sendable(&self) -> impl Iterator<Item = Sendable> {
        let mut refused = self.refused.iter().peekable();
        (0..self.count())
            .filter(move |index| refused.next_if_eq(&index).is_none())
            .map(Sendable)
    }

    /// Returns true if any request can't be sent.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Iterates over the requests that can't be sent, in order. Returns each request's
    /// index and the error it ends with.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (u32, InvalidRequest)> {
        self.refused.iter().map(|index| {
            let invalid = self.encoded.decode(*index).err();
            // It didn't decode earlier, so it won't now. But even if it did, the request
            // must still end, so make up an error in that case.
            let other = || InvalidRequest::new("requests", "cannot be sent");
            (*index, invalid.unwrap_or_else(other))
        })
    }

    /// Decodes a request that can be sent. This can only fail if there's a bug in the
    /// check. If it does, the request has to end with the error.
    pub(crate) fn decode(&self, request: Sendable) -> Result<Request, InvalidRequest> {
        self.encoded.decode(request.0)
    }
}

impl Sendable {
    /// Returns the request's position in its batch.
    pub(crate) fn index(self) -> u32 {
        self.0
    }

    #[cfg(test)]
    pub(crate) const fn for_test(index: u32) -> Self {
        Self(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Urls([&'static str; 4]);

    impl EncodedRequests for Urls {
        fn count(&self) -> u32 {
            4
        }

        fn decode(&self, index: u32) -> Result<Request, InvalidRequest> {
            Request::new(self.0[index as usize], "")
        }
    }

    #[test]
    fn requests_that_cannot_be_sent_are_apart() {
        let mut requests = Requests::new(Urls(["http://a/", "a", "http://b/", ""]));
        assert!(!requests.has_refused());
        (0..4).for_each(|index| requests.check(index));
        let sendable: Vec<_> = requests.sendable().map(Sendable::index).collect();
        let refused: Vec<_> = requests.refused().map(|(index, _)| index).collect();
        assert_eq!((sendable, refused), (vec![0, 2], vec![1, 3]));
        assert!(requests.sendable().all(|id| requests.decode(id).is_ok()));
    }
}
