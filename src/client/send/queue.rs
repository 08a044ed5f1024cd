//! Queues the requests for one replica.

use prost::Message;

use crate::client::{Request, pending::Pending};

/// The requests of one replica.
#[derive(Debug, Default)]
pub(super) struct ReplicaQueue {
    /// Requests that we haven't sent yet.
    pub(super) assigned: Vec<Pending>,
    /// Number of requests we've sent that don't have an outcome yet.
    pub(super) outstanding: usize,
    /// Max number of requests the open calls may have in flight, in total.
    pub(super) in_flight: usize,
    /// Number of open calls.
    pub(super) calls: usize,
}

/// A call we're about to make.
pub(super) struct NextCall {
    pub(super) requests: Vec<Pending>,
    /// Max number of requests in flight at once. 0 means the service's default.
    pub(super) concurrency: u32,
    /// How many of the replica's slots this call may use.
    pub(super) slots: usize,
}

/// Limits for one call. If we reach one, the remaining requests go into the next call.
/// We keep these well below the limits services usually have.
const MAX_CALL_REQUESTS: usize = 1000;
const MAX_SINGLE_CALL_REQUESTS: usize = 10_000;
const MAX_CALL_BYTES: usize = 8 << 20;

impl ReplicaQueue {
    /// Returns the number of requests, whether sent or not.
    pub(super) fn len(&self) -> usize {
        self.assigned.len() + self.outstanding
    }

    /// Takes the requests for the next call. If the list goes out as one call,
    /// `single_call` is its concurrency.
    ///
    /// In all other cases, we may put more requests in a call than there are `free`
    /// slots. The rest wait at the service. We don't do this with requests that aren't
    /// idempotent, though. If the call is lost, we can't tell which requests were
    /// dispatched, so we couldn't send such a request again, even if it was only waiting
    /// for a slot.
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
        // If the first request is above the limit already, send it in its own call.
        fits.count().max(1)
    }
}

/// Returns true if we can send all of `list` in one call.
pub(super) fn fits_one_call(list: &[Request]) -> bool {
    let bytes: usize = list.iter().map(Request::size).sum();
    list.len() <= MAX_SINGLE_CALL_REQUESTS && bytes <= MAX_CALL_BYTES
}
