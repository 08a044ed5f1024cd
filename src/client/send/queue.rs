//! The requests of one replica.

use prost::Message;

use crate::client::{Request, pending::Pending};

/// The requests of one replica.
#[derive(Debug, Default)]
pub(super) struct ReplicaQueue {
    /// The requests that wait for a call.
    pub(super) assigned: Vec<Pending>,
    /// The number of requests that were sent and have no outcome.
    pub(super) outstanding: usize,
    /// The number of requests that the open calls may have in flight.
    pub(super) in_flight: usize,
    /// The number of open calls.
    pub(super) calls: usize,
}

/// A call that is ready to be made.
pub(super) struct NextCall {
    pub(super) requests: Vec<Pending>,
    /// The number of requests that may be in flight at once. 0 means the default of the
    /// service.
    pub(super) concurrency: u32,
    /// The number of slots that the call may fill in the share of the replica.
    pub(super) slots: usize,
}

/// The limits of one call. They are well below the usual limits of a service.
const MAX_CALL_REQUESTS: usize = 1000;
const MAX_SINGLE_CALL_REQUESTS: usize = 10_000;
const MAX_CALL_BYTES: usize = 8 << 20;

impl ReplicaQueue {
    /// Returns the number of requests.
    pub(super) fn len(&self) -> usize {
        self.assigned.len() + self.outstanding
    }

    /// Takes the requests of the next call. `single_call` is the concurrency of a list
    /// that goes as one call.
    ///
    /// Any other call has more requests than `free` slots, unless one of them is not
    /// idempotent: if a call is lost, it is not known which requests were dispatched,
    /// and such a request should not be lost while it waits.
    pub(super) fn next_call(&mut self, single_call: Option<u32>, free: usize) -> NextCall {
        let count = self.count_of_next_call(single_call.is_some(), free);
        let requests: Vec<_> = self.assigned.drain(..count).collect();
        let in_flight = free.min(requests.len());
        self.calls += 1;
        self.outstanding += requests.len();
        self.in_flight += in_flight;
        let share = u32::try_from(in_flight).unwrap_or(u32::MAX);
        NextCall {
            requests,
            concurrency: single_call.unwrap_or(share),
            slots: free,
        }
    }

    fn count_of_next_call(&self, is_single: bool, free: usize) -> usize {
        let max_requests = if is_single {
            MAX_SINGLE_CALL_REQUESTS
        } else {
            MAX_CALL_REQUESTS
        };
        let mut bytes = 0;
        let fits = self
            .assigned
            .iter()
            .take(max_requests)
            .enumerate()
            .take_while(|(position, pending)| {
                bytes += pending.message.encoded_len();
                let may_wait = is_single || *position < free || pending.is_idempotent();
                may_wait && bytes <= MAX_CALL_BYTES
            });
        // A request above the limit has a call of its own.
        fits.count().max(1)
    }
}

/// Returns true if all of `list` fits in one call.
pub(super) fn fits_one_call(list: &[Request]) -> bool {
    let bytes: usize = list.iter().map(Request::size).sum();
    list.len() <= MAX_SINGLE_CALL_REQUESTS && bytes <= MAX_CALL_BYTES
}
