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
    responses: Responses,
    assembly: Assembly,
    ready: VecDeque<Outcome>,
    has_ended: bool,
}

/// What comes of a call.
pub(super) enum Event {
    /// A request had its end: at its place in the caller's list.
    Outcome(Item, Box<Outcome>),
    /// The call is over; `left` had no end.
    Ended {
        left: Vec<Item>,
        failure: Option<Failure>,
    },
}

pub(super) enum Responses {
    /// Not asked for yet.
    Of(Box<(FetchServiceClient<Channel>, FetchBatchRequest)>),
    Open(BoxStream<'static, Result<FetchBatchResponse, Status>>),
}

impl Call {
    /// A call of `items` that is to be made.
    pub(super) fn new(items: Vec<Item>, responses: Responses) -> Self {
        Self {
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
                return Some(Event::Outcome(item, Box::new(outcome)));
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
            return Some(Event::Ended { left, failure });
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
