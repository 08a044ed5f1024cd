//! The requests of one call.
//!
//! Requests stay encoded until they get a slot, so that a waiting request costs
//! little memory. The requests that can be sent have an index of their own type,
//! [`Sendable`]; the others are only listed, each with the error that it ends with.

use tokio::time::Instant;

use super::{InvalidRequest, Request};
use crate::caller::Caller;

/// A list of requests, each of which gets exactly one end.
pub(crate) struct Batch {
    /// The requests, in the caller's order.
    pub requests: Requests,
    /// The caller.
    pub caller: Caller,
    /// The most requests in flight at once; at least 1.
    pub concurrency: usize,
    /// When the caller's headers arrived. All waits are counted from here.
    pub arrival: Instant,
    /// When all unfinished requests end, if there is a deadline.
    pub deadline: Option<Instant>,
}

/// Encoded requests, in a form that takes little memory.
pub(crate) trait EncodedRequests: Send + Sync {
    /// Returns the number of requests.
    fn count(&self) -> u32;

    /// Decodes the request at `index`, or returns the error that it ends with if it
    /// cannot be sent.
    fn decode(&self, index: u32) -> Result<Request, InvalidRequest>;
}

/// The requests of a batch: those that can be sent, and apart from them those that
/// cannot.
pub(crate) struct Requests {
    encoded: Box<dyn EncodedRequests>,
    /// The indices of the requests that cannot be sent, in order.
    refused: Vec<u32>,
}

/// The index of a request that can be sent. Only [`Requests::sendable`] creates it,
/// so no other request can get a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Sendable(u32);

impl Requests {
    /// Takes all requests for sendable until [`Requests::check`] finds otherwise.
    pub(crate) fn new(encoded: impl EncodedRequests + 'static) -> Self {
        Self {
            encoded: Box::new(encoded),
            refused: Vec::new(),
        }
    }

    /// Decodes the request at `index`, and sets it apart if it cannot be sent.
    /// Indices must be checked in ascending order.
    pub(crate) fn check(&mut self, index: u32) {
        debug_assert!(self.refused.last().is_none_or(|last| *last < index));
        if self.encoded.decode(index).is_err() {
            self.refused.push(index);
        }
    }

    /// Returns the number of all requests.
    pub(crate) fn count(&self) -> u32 {
        self.encoded.count()
    }

    /// Iterates over the requests that can be sent, in order.
    pub(crate) fn sendable(&self) -> impl Iterator<Item = Sendable> {
        let mut refused = self.refused.iter().peekable();
        (0..self.count())
            .filter(move |index| refused.next_if_eq(&index).is_none())
            .map(Sendable)
    }

    /// Returns true if there are requests that cannot be sent.
    pub(crate) fn has_refused(&self) -> bool {
        !self.refused.is_empty()
    }

    /// Iterates over the requests that cannot be sent, in order: their indices, and
    /// the errors that they end with.
    pub(crate) fn refused(&self) -> impl Iterator<Item = (u32, InvalidRequest)> {
        self.refused.iter().map(|index| {
            let invalid = self.encoded.decode(*index).err();
            // It is always an error, as it was before. Without one, the request
            // must have its end nevertheless.
            let other = || InvalidRequest::new("requests", "cannot be sent");
            (*index, invalid.unwrap_or_else(other))
        })
    }

    /// Decodes a request that can be sent. If it cannot be decoded, which would be a
    /// fault of the check, it must end with the error.
    pub(crate) fn decode(&self, request: Sendable) -> Result<Request, InvalidRequest> {
        self.encoded.decode(request.0)
    }
}

impl Sendable {
    /// Returns the position of the request in its batch.
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
