//! A batch as a stream of outcomes, as they arrive or in order.

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{
    Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use tonic::{Status, transport::Channel};

use super::{Error, Outcome, Request, assembly::Assembly, request::duration};
use crate::proto::{
    FetchBatchRequest, FetchBatchResponse, fetch_service_client::FetchServiceClient,
};

/// The outcomes of a batch, as they arrive. Every request has exactly one; a
/// call that fails ends those that are left with [`Error::Call`]. The call is
/// made at the first poll, and dropping the stream cancels it.
pub struct Fetch(State);

enum State {
    Waiting(Box<Call>),
    Called(Pin<Box<dyn Stream<Item = Outcome> + Send>>),
}

/// The outcomes of a batch in the order of its requests, each as soon as all
/// before it are there. Holds those that came early, at most the whole batch.
#[derive(Debug)]
pub struct InOrder {
    fetch: Fetch,
    early: BTreeMap<usize, Outcome>,
    next: usize,
}

/// A call that is to be made.
struct Call {
    service: FetchServiceClient<Channel>,
    message: FetchBatchRequest,
    /// The position of each request of the message in the caller's list.
    positions: Vec<usize>,
    /// Requests that cannot be handed to a service.
    refused: Vec<Outcome>,
}

/// A call under way.
struct Run {
    responses: Responses,
    assembly: Assembly,
    ready: VecDeque<Outcome>,
}

enum Responses {
    /// Not asked for yet.
    Of(Box<(FetchServiceClient<Channel>, FetchBatchRequest)>),
    Open(BoxStream<'static, Result<FetchBatchResponse, Status>>),
    Over,
}

impl Fetch {
    pub(super) fn new(
        service: FetchServiceClient<Channel>,
        requests: impl Iterator<Item = Request>,
    ) -> Self {
        let mut call = Call {
            service,
            message: FetchBatchRequest::default(),
            positions: Vec::new(),
            refused: Vec::new(),
        };
        for (position, request) in requests.enumerate() {
            match request.into_message() {
                Ok(message) => {
                    call.message.requests.push(message);
                    call.positions.push(position);
                }
                Err(error) => call.refused.push(Outcome::lost(position, error)),
            }
        }
        Self(State::Waiting(Box::new(call)))
    }

    /// How many requests may be in flight at once. Unset: the service's
    /// default, 50 unless configured. Has no effect once the stream was polled.
    #[must_use]
    pub fn concurrency(mut self, count: u32) -> Self {
        if let State::Waiting(call) = &mut self.0 {
            call.message.concurrency = count;
        }
        self
    }

    /// How long the whole batch may take: what is unfinished then ends with
    /// `Reason::BatchDeadline`. Unset: no limit. Has no effect once the stream
    /// was polled.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let State::Waiting(call) = &mut self.0 {
            call.message.timeout = Some(duration(timeout));
        }
        self
    }

    /// The same outcomes in the order of the requests.
    #[must_use]
    pub fn in_order(self) -> InOrder {
        InOrder {
            fetch: self,
            early: BTreeMap::new(),
            next: 0,
        }
    }

    /// All results, one for each request, in the order of the requests.
    pub async fn all(self) -> Vec<Result<reqwest::Response, Error>> {
        self.in_order().map(Outcome::into_result).collect().await
    }
}

impl InOrder {
    /// Takes those that came before their turn, in the order of the requests:
    /// for a caller that will not wait for what is missing.
    pub fn take_early(&mut self) -> impl Iterator<Item = Outcome> + use<> {
        std::mem::take(&mut self.early).into_values()
    }
}

impl Stream for Fetch {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        loop {
            match &mut self.0 {
                State::Called(outcomes) => return outcomes.as_mut().poll_next(cx),
                State::Waiting(call) => {
                    let outcomes = call.take().outcomes();
                    self.0 = State::Called(Box::pin(outcomes));
                }
            }
        }
    }
}

impl Stream for InOrder {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let this = &mut *self;
        loop {
            if let Some(outcome) = this.early.remove(&this.next) {
                this.next += 1;
                return Poll::Ready(Some(outcome));
            }
            match ready!(this.fetch.poll_next_unpin(cx)) {
                Some(outcome) => this.early.insert(outcome.index, outcome),
                None => return Poll::Ready(None),
            };
        }
    }
}

impl Call {
    /// The call itself, with an empty one left in its place.
    fn take(&mut self) -> Self {
        Self {
            service: self.service.clone(),
            message: std::mem::take(&mut self.message),
            positions: std::mem::take(&mut self.positions),
            refused: std::mem::take(&mut self.refused),
        }
    }

    fn outcomes(self) -> impl Stream<Item = Outcome> + Send {
        let positions = self.positions;
        let responses = Responses::Of(Box::new((self.service, self.message)));
        let run = Run::new(positions.len(), responses);
        let in_place = run.outcomes().map(move |outcome| Outcome {
            index: positions[outcome.index],
            ..outcome
        });
        stream::iter(self.refused).chain(in_place)
    }
}

impl Run {
    fn new(count: usize, responses: Responses) -> Self {
        Self {
            responses,
            assembly: Assembly::new(count),
            ready: VecDeque::new(),
        }
    }

    fn outcomes(self) -> impl Stream<Item = Outcome> + Send {
        stream::unfold(self, |mut run| async move {
            let outcome = run.next().await?;
            Some((outcome, run))
        })
    }

    async fn next(&mut self) -> Option<Outcome> {
        loop {
            if let Some(outcome) = self.ready.pop_front() {
                return Some(outcome);
            }
            match self.receive().await {
                Ok(Some(message)) => self.place(message),
                // The call is over; it had nothing else to say where every
                // request has its outcome.
                Ok(None) | Err(_) if self.assembly.unfinished() == 0 => return None,
                Ok(None) => self.give_up(&Error::Contract(
                    "the stream ended without an end for each request",
                )),
                Err(error) => self.give_up(&error),
            }
        }
    }

    /// The next message, or `None` after the last.
    async fn receive(&mut self) -> Result<Option<FetchBatchResponse>, Error> {
        let responses = match &mut self.responses {
            Responses::Over => return Ok(None),
            // Nothing to ask for: no request, or none that can be sent.
            Responses::Of(call) if call.1.requests.is_empty() => return Ok(None),
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

    fn place(&mut self, message: FetchBatchResponse) {
        for part in message.parts {
            match self.assembly.place(part) {
                Ok(outcome) => self.ready.extend(outcome),
                Err(error) => return self.give_up(&error),
            }
        }
    }

    /// Ends the call, and those without an outcome with `error`.
    fn give_up(&mut self, error: &Error) {
        self.responses = Responses::Over;
        self.ready.extend(self.assembly.give_up(error));
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
