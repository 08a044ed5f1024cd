//! A list as a stream of outcomes, as they arrive or in order.

use std::{
    collections::BTreeMap,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures_util::{Stream, StreamExt, stream::BoxStream};

use super::{
    Error, Outcome,
    dispatch::{Dispatch, Plan, Source},
    endpoints::Endpoints,
    hold::Hold,
};

/// The outcomes of a list, as they arrive. Every request has exactly one. A
/// request that was lost with its call is sent again where it may be, to another
/// replica or the same one later; where it may not, it ends with
/// [`Error::Call`]. Calls are made at the first poll, and dropping the stream
/// cancels them.
pub struct Fetch {
    state: State,
    hold: Arc<Hold>,
}

enum State {
    Waiting(Option<Box<Waiting>>),
    Running(BoxStream<'static, Outcome>),
}

/// What is to be done once it is polled.
struct Waiting {
    endpoints: Arc<Endpoints>,
    source: Source,
    plan: Plan,
}

/// The outcomes of a list in the order of its requests, each as soon as all
/// before it are there. Of those that came early it holds some 10,000, or 64 MiB
/// of bodies: past that, no further request is sent until they can be given.
#[derive(Debug)]
pub struct InOrder {
    fetch: Fetch,
    early: BTreeMap<usize, Outcome>,
    held: usize,
    next: usize,
}

/// The most outcomes that wait for their turn, and the bytes of their bodies,
/// before no further request is sent.
const MAX_EARLY: usize = 10_000;
const MAX_HELD: usize = 64 << 20;

impl Fetch {
    pub(super) fn new(endpoints: Arc<Endpoints>, source: Source) -> Self {
        let plan = Plan::default();
        Self {
            state: State::Waiting(Some(Box::new(Waiting {
                endpoints,
                source,
                plan,
            }))),
            hold: Arc::default(),
        }
    }

    #[cfg(test)]
    pub(super) fn running(outcomes: BoxStream<'static, Outcome>) -> Self {
        Self {
            state: State::Running(outcomes),
            hold: Arc::default(),
        }
    }

    /// How many requests may be in flight at once, over all replicas. Unset: 50,
    /// or what one service has by default. Has no effect once the stream was
    /// polled.
    #[must_use]
    pub fn concurrency(mut self, count: u32) -> Self {
        if let State::Waiting(Some(waiting)) = &mut self.state {
            waiting.plan.concurrency = count;
        }
        self
    }

    /// How long the whole list may take: what is unfinished then ends with
    /// `Reason::BatchDeadline`. Unset: no limit. Has no effect once the stream
    /// was polled.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let State::Waiting(Some(waiting)) = &mut self.state {
            waiting.plan.timeout = Some(timeout);
        }
        self
    }

    /// The same outcomes in the order of the requests.
    #[must_use]
    pub fn in_order(self) -> InOrder {
        InOrder {
            fetch: self,
            early: BTreeMap::new(),
            held: 0,
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

    /// Lets new requests wait while too much is held.
    fn hold(&self) {
        let is_full = self.early.len() >= MAX_EARLY || self.held >= MAX_HELD;
        self.fetch.hold.set(is_full);
    }
}

impl Stream for Fetch {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        let this = &mut *self;
        loop {
            match &mut this.state {
                State::Running(outcomes) => return outcomes.as_mut().poll_next(cx),
                State::Waiting(waiting) => {
                    let Some(waiting) = waiting.take() else {
                        return Poll::Ready(None);
                    };
                    let Waiting {
                        endpoints,
                        source,
                        plan,
                    } = *waiting;
                    let hold = Arc::clone(&this.hold);
                    let dispatch = Dispatch::new(endpoints, source, plan, hold);
                    this.state = State::Running(dispatch.outcomes().boxed());
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
                this.held -= size(&outcome);
                this.hold();
                return Poll::Ready(Some(outcome));
            }
            match ready!(this.fetch.poll_next_unpin(cx)) {
                Some(outcome) => {
                    this.held += size(&outcome);
                    this.early.insert(outcome.index, outcome);
                    this.hold();
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

fn size(outcome: &Outcome) -> usize {
    let response = outcome.response.as_ref();
    response.map_or(0, |response| response.body.len())
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "fetch_tests.rs"]
mod tests;
