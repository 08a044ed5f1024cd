//! A single call, which usually carries several requests.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt, Stream, StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use prost::Message as _;
use tokio::time;
use tonic::Status;

use super::{assembly::Assembly, deadline::Deadline, queue::NextCall};
use crate::{
    client::{
        Error, Outcome,
        failure::Failure,
        pending::Pending,
        replicas::{Replica, Replicas, Service},
        request,
    },
    proto::{FetchBatchRequest, FetchBatchResponse},
};

/// A call, along with those of its requests that don't have an outcome yet.
pub(crate) struct Call {
    /// The requests, by their index in the call. We take each one out when it ends.
    pending: Vec<Option<Pending>>,
    /// Max number of requests in flight at once.
    slots: usize,
    /// Number of requests that haven't had a [`CallEvent::Outcome`].
    remaining: usize,
    responses: Responses,
    silence_timeout: Duration,
    assembly: Assembly,
    ready: VecDeque<Outcome>,
    has_ended: bool,
}

/// Something that happened in a call.
pub(crate) enum CallEvent {
    /// We received a message, but it doesn't complete a result.
    Alive,
    /// A request has ended. The outcome's index is already the position in the caller's
    /// list.
    Outcome {
        pending: Pending,
        outcome: Box<Outcome>,
        /// True if there's no other request in this call that could take over the slot.
        frees_slot: bool,
    },
    /// The call is over.
    Ended {
        /// Requests that don't have an outcome.
        lost: Vec<Pending>,
        /// Number of slots they occupied.
        slots: usize,
        failure: Option<Failure>,
    },
}

/// A call's responses.
pub(crate) enum Responses {
    /// We haven't made the call yet.
    NotRequested(Box<(Service, FetchBatchRequest)>),
    Open {
        messages: BoxStream<'static, Result<FetchBatchResponse, Status>>,
        /// True until the first message arrives.
        is_empty: bool,
    },
}

/// The slowest upload we tolerate, in bytes per second. The service has to receive our
/// whole message before it can answer. We add the time it needs for that at this pace to
/// the silence timeout, so that large messages don't run into it.
const MIN_PACE: usize = 128 << 10;

impl Call {
    /// Creates a call to `replica`.
    pub(super) fn to(
        replica: &Arc<Replica>,
        next: NextCall,
        deadline: Deadline,
        replicas: &Replicas,
    ) -> Self {
        let requests = next.requests.iter();
        let message = FetchBatchRequest {
            requests: requests.map(|pending| pending.message.clone()).collect(),
            options: replicas.defaults().options(),
            concurrency: next.concurrency,
            timeout: deadline.remaining().map(request::duration),
        };
        let responses = Responses::NotRequested(Box::new((replica.service(), message)));
        let silence_timeout = replicas.silence_timeout();
        Self::new(next.requests, next.slots, responses, silence_timeout)
    }

    /// Creates a call. It runs up to `slots` of its requests at once, and fails if no
    /// message arrives for `silence_timeout`.
    pub(crate) fn new(
        requests: Vec<Pending>,
        slots: usize,
        responses: Responses,
        silence_timeout: Duration,
    ) -> Self {
        Self {
            slots,
            remaining: requests.len(),
            assembly: Assembly::new(requests.len()),
            pending: requests.into_iter().map(Some).collect(),
            responses,
            silence_timeout,
            ready: VecDeque::new(),
            has_ended: false,
        }
    }

    /// Returns the call's events. We make the call when the stream is first polled, and
    /// cancel it if the stream is dropped.
    pub(crate) fn events(self) -> impl Stream<Item = CallEvent> + Send {
        stream::unfold(self, |mut call| async move {
            let event = call.next().await?;
            Some((event, call))
        })
    }

    async fn next(&mut self) -> Option<CallEvent> {
        loop {
            if let Some(outcome) = self.ready.pop_front() {
                return self.outcome(outcome);
            }
            if self.has_ended {
                return None;
            }
            match self.receive().await {
                Ok(Some(message)) => match self.assemble(message) {
                    Ok(()) if self.ready.is_empty() => return Some(CallEvent::Alive),
                    Ok(()) => {}
                    Err(error) => return Some(self.end(Some(Failure::lost(error)))),
                },
                // We have all outcomes, so it doesn't matter how the call ends.
                _ if self.assembly.unfinished() == 0 => return Some(self.end(None)),
                Ok(None) => {
                    let error = Error::contract("the stream ended without an end for each request");
                    return Some(self.end(Some(Failure::lost(error))));
                }
                Err(failure) => return Some(self.end(Some(failure))),
            }
        }
    }

    fn outcome(&mut self, mut outcome: Outcome) -> Option<CallEvent> {
        let pending = self.pending.get_mut(outcome.index)?.take()?;
        outcome.index = pending.position;
        self.remaining -= 1;
        Some(CallEvent::Outcome {
            pending,
            outcome: Box::new(outcome),
            frees_slot: self.remaining < self.slots,
        })
    }

    /// Ends the call. Outcomes that were already complete are still valid. We return
    /// those after this event.
    fn end(&mut self, failure: Option<Failure>) -> CallEvent {
        self.has_ended = true;
        let complete: BTreeSet<_> = self.ready.iter().map(|outcome| outcome.index).collect();
        let mut lost = Vec::new();
        for (index, pending) in self.pending.iter_mut().enumerate() {
            if !complete.contains(&index) {
                lost.extend(pending.take());
            }
        }
        let slots = self.slots.min(self.remaining) - self.slots.min(complete.len());
        self.remaining = complete.len();
        CallEvent::Ended {
            lost,
            slots,
            failure,
        }
    }

    /// Returns the next message, or `None` if there are no more.
    async fn receive(&mut self) -> Result<Option<FetchBatchResponse>, Failure> {
        let (messages, is_empty) = match &mut self.responses {
            Responses::NotRequested(call) => {
                let (service, message) = &mut **call;
                let message = std::mem::take(message);
                let upload = Duration::from_secs((message.encoded_len() / MIN_PACE) as u64);
                let timeout = self.silence_timeout + upload;
                let responses = until_silent(service.fetch_batch(message), timeout).await??;
                self.responses = Responses::open(responses.boxed());
                return Ok(Some(FetchBatchResponse::default()));
            }
            Responses::Open { messages, is_empty } => (messages, is_empty),
        };
        let next = until_silent(messages.try_next(), self.silence_timeout).await?;
        let message = next.map_err(|status| Failure::interrupted(&status, *is_empty))?;
        *is_empty = false;
        Ok(message)
    }

    fn assemble(&mut self, message: FetchBatchResponse) -> Result<(), Error> {
        for part in message.parts {
            self.ready.extend(self.assembly.add(part)?);
        }
        Ok(())
    }
}

impl Responses {
    /// Wraps the responses of a call that the service has accepted.
    pub(crate) fn open(messages: BoxStream<'static, Result<FetchBatchResponse, Status>>) -> Self {
        Self::Open {
            messages,
            is_empty: true,
        }
    }
}

/// Waits for `answer`, but not longer than `timeout`. If the answer is ready we return
/// it right away, without setting a timer.
pub(super) async fn until_silent<F: Future>(
    answer: F,
    timeout: Duration,
) -> Result<F::Output, Failure> {
    let mut answer = pin!(answer);
    if let Some(ready) = answer.as_mut().now_or_never() {
        return Ok(ready);
    }
    let waited = time::timeout(timeout, answer).await;
    waited.map_err(|_| Failure::silent(timeout))
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::{client::failure::Disposition, proto::FetchRequest};

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn call(messages: BoxStream<'static, Result<FetchBatchResponse, Status>>) -> Call {
        let requests = vec![Pending::new(0, FetchRequest::default())];
        Call::new(requests, 1, Responses::open(messages), TIMEOUT)
    }

    #[tokio::test(start_paused = true)]
    async fn silent_call_fails_after_the_timeout() {
        let begun = Instant::now();
        let mut events = pin!(call(stream::pending().boxed()).events());
        match events.next().await {
            Some(CallEvent::Ended { lost, failure, .. }) => {
                assert_eq!(lost.len(), 1);
                assert_eq!(failure.unwrap().disposition, Disposition::Lost);
            }
            _ => panic!("the call did not end"),
        }
        let waited = begun.elapsed();
        assert!(waited >= TIMEOUT && waited < 2 * TIMEOUT, "{waited:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn empty_messages_keep_a_call_alive() {
        let empty = stream::repeat(()).then(|()| async {
            time::sleep(TIMEOUT / 2).await;
            Ok(FetchBatchResponse::default())
        });
        let events = call(empty.boxed()).events();
        let alive = events
            .take(10)
            .filter(|event| std::future::ready(matches!(event, CallEvent::Alive)));
        assert_eq!(alive.count().await, 10);
    }
}
