//! The requests of a list on their way: over all replicas, in as many calls as
//! it takes, each as often as it may be sent, until each has its outcome.

use std::{
    collections::{BTreeSet, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use tokio::time::Instant;

use super::{
    Error, Outcome, Request,
    balance::Balance,
    call::{Call, Event, Responses},
    endpoint::Endpoint,
    endpoints::{Endpoints, Probing, until},
    failure::{Failure, Meaning},
    hold::Hold,
    item::Item,
    load::{NextCall, fits_one_call},
    outage::Outage,
    request::duration,
    resend::Resend,
};
use crate::proto::{FetchBatchRequest, Reason};

/// How a list is to be fetched.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Plan {
    /// Most requests outstanding. 0: as many as a service has by default.
    pub(super) concurrency: u32,
    pub(super) timeout: Option<Duration>,
}

/// What is to be fetched.
pub(super) enum Source {
    /// All of it is known.
    List(Vec<Request>),
    /// It comes bit by bit.
    Stream(BoxStream<'static, Request>),
}

/// A list being fetched.
pub(super) struct Dispatch {
    endpoints: Arc<Endpoints>,
    balance: Balance,
    deadline: Option<Instant>,
    source: Option<BoxStream<'static, Request>>,
    position: usize,
    /// Without a replica: to be sent as soon as there is one that may be given
    /// requests.
    waiting: Vec<Item>,
    probing: Probing,
    outage: Outage,
    /// No replica answered for too long: everything ends with this, until one does.
    given_up: Option<Error>,
    calls: SelectAll<BoxStream<'static, (Arc<Endpoint>, Event)>>,
    ready: VecDeque<Outcome>,
    /// The places of those that were taken and have no outcome.
    open: BTreeSet<usize>,
    hold: Arc<Hold>,
    refreshing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// How many outcomes may wait to be given out before no request is taken.
const MAX_READY: usize = 1024;

/// How long after the caller's deadline the ends of services may come.
const GRACE: Duration = Duration::from_secs(1);

impl Dispatch {
    /// `source`, fetched from `endpoints` by `plan`.
    pub(super) fn new(
        endpoints: Arc<Endpoints>,
        source: Source,
        plan: Plan,
        hold: Arc<Hold>,
    ) -> Self {
        let is_one = endpoints.count() == 1;
        let (source, is_whole) = match source {
            Source::List(list) => {
                let is_whole = is_one && fits_one_call(&list);
                (stream::iter(list).boxed(), is_whole)
            }
            Source::Stream(stream) => (stream, false),
        };
        let refreshing = refresh_when_due(Arc::clone(&endpoints));
        Self {
            outage: endpoints.outage(),
            balance: Balance::new(Arc::clone(&endpoints), plan.concurrency, is_whole),
            endpoints,
            deadline: plan
                .timeout
                .and_then(|timeout| Instant::now().checked_add(timeout)),
            source: Some(source),
            position: 0,
            waiting: Vec::new(),
            probing: Probing::new(),
            given_up: None,
            calls: SelectAll::new(),
            ready: VecDeque::new(),
            open: BTreeSet::new(),
            hold,
            refreshing,
        }
    }

    /// The outcomes, as they arrive. Dropping the stream cancels what is not
    /// done.
    pub(super) fn outcomes(self) -> impl Stream<Item = Outcome> + Send {
        stream::unfold(self, |mut dispatch| async move {
            let outcome = dispatch.next().await?;
            Some((outcome, dispatch))
        })
    }

    async fn next(&mut self) -> Option<Outcome> {
        let endpoints = Arc::clone(&self.endpoints);
        loop {
            if let Some(outcome) = self.ready.pop_front() {
                self.open.remove(&outcome.index);
                return Some(outcome);
            }
            let changed = endpoints.changed();
            self.probing.extend(self.endpoints.probe());
            if self.open.is_empty() {
                // Nothing waits, and so for nobody.
                self.outage.is_over();
            }
            if self.given_up.is_some() {
                self.look_for_an_answer();
            }
            self.assign_waiting();
            let is_pausing = self.take_what_is_there();
            self.send(is_pausing);
            if !self.ready.is_empty() {
                continue;
            }
            if self.is_done() {
                return None;
            }
            let wants_more = self.wants_more();
            // Those that were sent are ended by their services, in time.
            let end = self.deadline.map(|deadline| deadline + GRACE);
            let is_open = !self.open.is_empty();
            let late = self.deadline.filter(|_| !self.waiting.is_empty());
            let hold = Arc::clone(&self.hold);
            tokio::select! {
                biased;
                () = &mut self.refreshing => {
                    self.refreshing = refresh_when_due(Arc::clone(&self.endpoints));
                }
                () = until(end), if is_open => self.end_all(&late_error()),
                () = until(self.outage.end()), if is_open => self.give_up(),
                event = self.calls.next(), if !self.calls.is_empty() => {
                    if let Some((endpoint, event)) = event {
                        self.note(&endpoint, event);
                    }
                }
                request = next_of(&mut self.source), if wants_more => match request {
                    Some(request) => self.take(request),
                    None => self.source = None,
                },
                Some(answered) = self.probing.next(), if !self.probing.is_empty() => {
                    self.outage.note(answered);
                }
                () = until(endpoints.probe_due()) => {}
                () = changed => if !endpoints.admitted().is_empty() {
                    self.outage.is_probed();
                },
                () = until(late) => {}
                () = hold.changed() => {}
            }
        }
    }

    /// Ends all requests that were taken with `error`: the deadline passed and no
    /// service said so, or no service is there.
    fn end_all(&mut self, error: &Error) {
        self.calls.clear();
        self.waiting.clear();
        self.balance.clear();
        let lost = self.open.iter();
        self.ready
            .extend(lost.map(|position| Outcome::lost(*position, error.clone())));
    }

    /// Ends everything, also what is yet to come: no replica answers.
    fn give_up(&mut self) {
        let error = self.outage.error(&self.endpoints.names());
        self.end_all(&error);
        self.outage.is_over();
        self.given_up = Some(error);
    }

    /// Lets probes go on while every request ends at once, and ends that when one is
    /// answered.
    fn look_for_an_answer(&mut self) {
        while let Some(Some(answered)) = self.probing.next().now_or_never() {
            self.outage.note(answered);
        }
        if !self.endpoints.admitted().is_empty() {
            self.given_up = None;
        }
    }

    fn is_done(&self) -> bool {
        self.source.is_none() && self.calls.is_empty() && self.waiting.is_empty()
    }

    /// Whether there is room for another request.
    fn wants_more(&self) -> bool {
        let has_room = self.ready.len() < MAX_READY && self.balance.has_room(self.waiting.len());
        self.source.is_some() && has_room && !self.hold.is_on()
    }

    /// Takes requests from the source, as long as there are some and there is
    /// room. True: the source has none at the moment.
    fn take_what_is_there(&mut self) -> bool {
        while self.wants_more() {
            match next_of(&mut self.source).now_or_never() {
                Some(Some(request)) => self.take(request),
                Some(None) => self.source = None,
                None => return true,
            }
        }
        self.source.is_none() || self.hold.is_on()
    }

    fn take(&mut self, request: Request) {
        let position = self.position;
        self.position += 1;
        self.open.insert(position);
        let message = match &self.given_up {
            Some(error) => Err(error.clone()),
            None => request.into_message(),
        };
        match message {
            Ok(message) => self.assign(Item::new(position, message)),
            Err(error) => self.ready.push_back(Outcome::lost(position, error)),
        }
    }

    fn assign_waiting(&mut self) {
        if !self.waiting.is_empty() {
            let waiting = std::mem::take(&mut self.waiting);
            for item in waiting {
                self.assign(item);
            }
        }
    }

    fn assign(&mut self, item: Item) {
        let now = Instant::now();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let late = Outcome::lost(item.position, late_error());
            return self.ready.push_back(late);
        }
        let unassigned = self.balance.assign(item);
        self.waiting.extend(unassigned);
    }

    /// Makes the calls that are worth it; `nothing_comes` at the moment.
    fn send(&mut self, nothing_comes: bool) {
        let silence_timeout = self.endpoints.silence_timeout();
        let admitted = self.endpoints.admitted();
        for endpoint in &admitted {
            let (name, count) = (endpoint.name(), admitted.len());
            while let Some(call) = self.balance.next_call(name, count, nothing_comes) {
                self.calls
                    .push(called(endpoint, call, self.deadline, silence_timeout));
            }
        }
        self.waiting.extend(self.balance.take_back());
    }

    fn note(&mut self, endpoint: &Arc<Endpoint>, event: Event) {
        match event {
            Event::Alive => self.outage.is_over(),
            Event::Outcome {
                mut item,
                outcome,
                frees_slot,
            } => {
                self.outage.is_over();
                let body = outcome.response.as_ref();
                let body = body.map_or(0, |response| response.body.len());
                self.balance.note_outcome(endpoint.name(), body, frees_slot);
                if !outcome.is_of_a_shutdown() {
                    endpoint.works();
                    self.ready.push_back(*outcome);
                    return;
                }
                let meaning = match outcome.stats.attempts {
                    0 => Meaning::NotDispatched(None),
                    _ => Meaning::Lost,
                };
                if Resend::after(&self.endpoints, endpoint, meaning).allows(&mut item) {
                    self.waiting.push(item);
                } else {
                    self.ready.push_back(*outcome);
                }
            }
            Event::Ended {
                left,
                slots,
                failure,
            } => {
                self.balance.note_end(endpoint.name(), left.len(), slots);
                if let Some(failure) = failure {
                    self.resume(endpoint, left, &failure);
                }
            }
        }
    }

    /// Sends again what was left by a call that failed, where it may be.
    fn resume(&mut self, endpoint: &Arc<Endpoint>, left: Vec<Item>, failure: &Failure) {
        self.outage.failed(failure);
        let resend = Resend::after(&self.endpoints, endpoint, failure.meaning);
        for mut item in left {
            if resend.allows(&mut item) {
                self.waiting.push(item);
            } else {
                let lost = Outcome::lost(item.position, failure.error.clone());
                self.ready.push_back(lost);
            }
        }
    }
}

/// `call` at `endpoint`, with the rest of the time.
fn called(
    endpoint: &Arc<Endpoint>,
    call: NextCall,
    deadline: Option<Instant>,
    silence_timeout: Duration,
) -> BoxStream<'static, (Arc<Endpoint>, Event)> {
    // If no time is left, the smallest timeout is sent: none means no limit.
    let left = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        duration(left.max(Duration::from_millis(1)))
    });
    let message = FetchBatchRequest {
        requests: call.items.iter().map(|item| item.message.clone()).collect(),
        concurrency: call.concurrency,
        timeout: left,
        ..FetchBatchRequest::default()
    };
    let responses = Responses::Of(Box::new((endpoint.service(), message)));
    let endpoint = Arc::clone(endpoint);
    let events = Call::new(call.items, call.slots, responses, silence_timeout).events();
    events
        .map(move |event| (Arc::clone(&endpoint), event))
        .boxed()
}

fn late_error() -> Error {
    Error::Fetch {
        reason: Reason::BatchDeadline,
        message: "the deadline of the batch passed first".to_owned(),
        retryable: true,
    }
}

async fn next_of(source: &mut Option<BoxStream<'static, Request>>) -> Option<Request> {
    source.as_mut()?.next().await
}

fn refresh_when_due(endpoints: Arc<Endpoints>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        until(endpoints.refresh_due()).await;
        endpoints.refresh().await;
    })
}
