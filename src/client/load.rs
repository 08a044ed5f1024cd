//! What one replica has to do, and how much of it is one call.

use prost::Message;

use super::{Request, item::Item};

/// What one replica has to do.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// To be sent with its next call.
    pub(super) assigned: Vec<Item>,
    /// Sent, and without an outcome.
    pub(super) outstanding: usize,
    /// How many of these its calls may have in flight.
    pub(super) in_flight: usize,
    /// Open.
    pub(super) calls: usize,
}

/// A call that is to be made.
pub(super) struct NextCall {
    pub(super) items: Vec<Item>,
    /// How many may be in flight at once. 0: as many as the service has by default.
    pub(super) concurrency: u32,
    /// How many slots of the replica's share it may fill.
    pub(super) slots: usize,
}

/// The most requests, and bytes of them, that are one call: well within a
/// service's usual limits.
const MAX_CALL: usize = 1000;
const MAX_WHOLE: usize = 10_000;
const MAX_CALL_BYTES: usize = 8 << 20;

impl Load {
    /// How many requests it has.
    pub(super) fn size(&self) -> usize {
        self.assigned.len() + self.outstanding
    }

    /// Takes the requests of the next call: all that fit if the list is one call, of
    /// the concurrency `whole`, else some more than the `free` slots for them. No
    /// more than these if one of them must not be sent twice: of a call that is
    /// lost, it is not known which were dispatched.
    pub(super) fn next_call(&mut self, whole: Option<u32>, free: usize) -> NextCall {
        let is_whole = whole.is_some();
        let most = if is_whole { MAX_WHOLE } else { MAX_CALL };
        let mut bytes = 0;
        let fits = self.assigned.iter().take(most).zip(0..);
        let fits = fits.take_while(|(item, position)| {
            bytes += item.message.encoded_len();
            let may_wait = is_whole || *position < free || item.is_idempotent();
            may_wait && bytes <= MAX_CALL_BYTES
        });
        // One that is larger than all that goes alone.
        let count = fits.count().max(1);
        let items: Vec<_> = self.assigned.drain(..count).collect();
        let in_flight = free.min(items.len());
        self.calls += 1;
        self.outstanding += items.len();
        self.in_flight += in_flight;
        let concurrency = whole.unwrap_or(u32::try_from(in_flight).unwrap_or(u32::MAX));
        NextCall {
            items,
            concurrency,
            slots: free,
        }
    }
}

/// Whether all of `list` may be one call.
pub(super) fn fits_one_call(list: &[Request]) -> bool {
    let bytes: usize = list.iter().map(Request::size).sum();
    list.len() <= MAX_WHOLE && bytes <= MAX_CALL_BYTES
}
