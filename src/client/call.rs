//! One call under way: its requests, and what has come of them.

use std::{collections::VecDeque, pin::pin, time::Duration};

use futures_util::{
    FutureExt, Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message as _;
use tokio::time;
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
    /// How long the service may say nothing.
    silence_timeout: Duration,
    assembly: Assembly,
    ready: VecDeque<Outcome>,
    has_ended: bool,
}

/// How many bytes a second a message may take to arrive, at least, before the
/// service begins to answer.
const PACE: usize = 128 << 10;

/// What comes of a call.
pub(super) enum Event {
    /// The service said something else.
    Alive,
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

/// What a service says.
pub(super) enum Responses {
    /// Not asked for yet.
    Of(Box<(FetchServiceClient<Channel>, FetchBatchRequest)>),
    Open {
        messages: BoxStream<'static, Result<FetchBatchResponse, Status>>,
        /// None has come yet.
        is_empty: bool,
    },
}

impl Responses {
    /// Those of a call that was accepted.
    pub(super) fn open(messages: BoxStream<'static, Result<FetchBatchResponse, Status>>) -> Self {
        Self::Open {
            messages,
            is_empty: true,
        }
    }
}

impl Call {
    /// A call of `items` that is to be made, `slots` of them in flight at once. It is
    /// given up if nothing is heard of it for `silence_timeout`.
    pub(super) fn new(
        items: Vec<Item>,
        slots: usize,
        responses: Responses,
        silence_timeout: Duration,
    ) -> Self {
        Self {
            slots,
            left: items.len(),
            assembly: Assembly::new(items.len()),
            items: items.into_iter().map(Some).collect(),
            responses,
            silence_timeout,
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
                    Ok(()) if self.ready.is_empty() => return Some(Event::Alive),
                    Ok(()) => continue,
                    Err(error) => Some(Failure::lost(error)),
                },
                // The call is over; it had nothing else to say where every
                // request has its outcome.
                Ok(None) | Err(_) if self.assembly.unfinished() == 0 => None,
                Ok(None) => {
                    let missing = "the stream ended without an end for each request";
                    Some(Failure::lost(Error::Contract(missing)))
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
        let (messages, is_empty) = match &mut self.responses {
            Responses::Of(call) => {
                let (service, message) = &mut **call;
                let message = std::mem::take(message);
                let limit = self.silence_timeout
                    + Duration::from_secs((message.encoded_len() / PACE) as u64);
                let response = heard(service.fetch_batch(message), limit).await?;
                let response = response.map_err(Failure::unopened)?;
                self.responses = Responses::open(response.into_inner().boxed());
                return Ok(Some(FetchBatchResponse::default()));
            }
            Responses::Open { messages, is_empty } => (messages, is_empty),
        };
        let next = heard(messages.try_next(), self.silence_timeout).await?;
        let next = next.map_err(|status| Failure::cut(status, *is_empty))?;
        *is_empty = false;
        Ok(next)
    }

    fn place(&mut self, message: FetchBatchResponse) -> Result<(), Error> {
        for part in message.parts {
            self.ready.extend(self.assembly.place(part)?);
        }
        Ok(())
    }
}

/// What comes within `limit`. What is there already needs no timer.
pub(super) async fn heard<F: Future>(answer: F, limit: Duration) -> Result<F::Output, Failure> {
    let mut answer = pin!(answer);
    if let Some(answer) = answer.as_mut().now_or_never() {
        return Ok(answer);
    }
    let waited = time::timeout(limit, answer).await;
    waited.map_err(|_| Failure::silent(limit))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::{client::failure::Meaning, proto::FetchRequest};

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn call(messages: BoxStream<'static, Result<FetchBatchResponse, Status>>) -> Call {
        let items = vec![Item::new(0, FetchRequest::default())];
        Call::new(items, 1, Responses::open(messages), TIMEOUT)
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_of_which_nothing_is_heard_is_given_up() {
        let begun = Instant::now();
        let mut events = pin!(call(stream::pending().boxed()).events());
        match events.next().await {
            Some(Event::Ended { left, failure, .. }) => {
                assert_eq!(left.len(), 1);
                assert_eq!(failure.unwrap().meaning, Meaning::Lost);
            }
            _ => panic!("it did not end"),
        }
        let waited = begun.elapsed();
        assert!(waited >= TIMEOUT && waited < 2 * TIMEOUT, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_empty_message_shows_that_the_service_is_there() {
        let empty = stream::repeat(()).then(|()| async {
            time::sleep(TIMEOUT / 2).await;
            Ok(FetchBatchResponse::default())
        });
        let events = call(empty.boxed()).events();
        let alive = events
            .take(10)
            .filter(|event| std::future::ready(matches!(event, Event::Alive)));
        assert_eq!(alive.count().await, 10);
    }
}
