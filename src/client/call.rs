//! One call under way: its requests, and what has come of them.

use std::collections::VecDeque;

use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tonic::{Status, transport::Channel};

use super::{Error, Outcome, assembly::Assembly, failure::Failure, item::Item};
use crate::proto::{
    FetchBatchRequest, FetchBatchResponse, fetch_service_client::FetchServiceClient,
};

/// A call, and its requests that have no outcome yet.
pub(super) struct Call {
    items: Vec<Option<Item>>,
    /// How many of them may be in flight at once.
    slots: usize,
    /// How many have no outcome that was given out.
    left: usize,
    responses: Responses,
    assembly: Assembly,
    ready: VecDeque<Outcome>,
    has_ended: bool,
}

/// What comes of a call.
pub(super) enum Event {
    /// A request had its end: at its place in the caller's list.
    Outcome {
        item: Item,
        outcome: Box<Outcome>,
        /// No other request of the call takes its slot.
        frees_slot: bool,
    },
    /// The call is over; `left` had no end, and held `slots`.
    Ended {
        left: Vec<Item>,
        slots: usize,
        failure: Option<Failure>,
    },
}

pub(super) enum Responses {
    /// Not asked for yet.
    Of(Box<(FetchServiceClient<Channel>, FetchBatchRequest)>),
    Open(BoxStream<'static, Result<FetchBatchResponse, Status>>),
}

impl Call {
    /// A call of `items` that is to be made, `slots` of them in flight at once.
    pub(super) fn new(items: Vec<Item>, slots: usize, responses: Responses) -> Self {
        Self {
            slots,
            left: items.len(),
            assembly: Assembly::new(items.len()),
            items: items.into_iter().map(Some).collect(),
            responses,
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    /// What comes of it. The call is made at the first poll, and dropping the
    /// stream cancels it.
    pub(super) fn events(self) -> impl Stream<Item = Event> + Send {
        stream::unfold(self, |mut call| async move {
            let event = call.next().await?;
            Some((event, call))
        })
    }

    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(mut outcome) = self.ready.pop_front() {
                let item = self.items.get_mut(outcome.index)?.take()?;
                outcome.index = item.position;
                self.left -= 1;
                return Some(Event::Outcome {
                    item,
                    outcome: Box::new(outcome),
                    frees_slot: self.left < self.slots,
                });
            }
            if self.has_ended {
                return None;
            }
            let failure = match self.receive().await {
                Ok(Some(message)) => match self.place(message) {
                    Ok(()) => continue,
                    Err(error) => Some(error.into()),
                },
                // The call is over; it had nothing else to say where every
                // request has its outcome.
                Ok(None) | Err(_) if self.assembly.unfinished() == 0 => None,
                Ok(None) => {
                    let missing = "the stream ended without an end for each request";
                    Some(Error::Contract(missing).into())
                }
                Err(failure) => Some(failure),
            };
            self.has_ended = true;
            // What was placed before the fault stands.
            let ready: Vec<_> = self.ready.iter().map(|outcome| outcome.index).collect();
            let left = self.items.iter_mut().enumerate();
            let left = left.filter(|(index, _)| !ready.contains(index));
            let left = left.filter_map(|(_, item)| item.take()).collect();
            let left: Vec<_> = left;
            // Those that are ready are given out after this.
            let given_later = ready.len();
            let slots = self.slots.min(self.left) - self.slots.min(given_later);
            self.left = given_later;
            return Some(Event::Ended {
                left,
                slots,
                failure,
            });
        }
    }

    /// The next message, or `None` after the last.
    async fn receive(&mut self) -> Result<Option<FetchBatchResponse>, Failure> {
        let responses = match &mut self.responses {
            Responses::Of(call) => {
                let (service, message) = &mut **call;
                let message = std::mem::take(message);
                let response = service.fetch_batch(message).await?;
                self.responses = Responses::Open(response.into_inner().boxed());
                return Ok(Some(FetchBatchResponse::default()));
            }
            Responses::Open(responses) => responses,
        };
        Ok(responses.try_next().await?)
    }

    fn place(&mut self, message: FetchBatchResponse) -> Result<(), Error> {
        for part in message.parts {
            self.ready.extend(self.assembly.place(part)?);
        }
        Ok(())
    }
}
