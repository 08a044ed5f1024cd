//! The requests of a list on their way: over all replicas, in as many calls as
//! it takes, each as often as it may be sent, until each has its outcome.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream, SelectAll},
};
use tokio::time::{self, Instant};

use super::{
    Error, Outcome, Request,
    call::{Call, Event, Responses},
    endpoints::{Endpoint, Endpoints},
    failure::{Failure, Meaning},
    hold::Hold,
    item::Item,
    load::{Load, fits_one_call},
    request::duration,
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
    concurrency: usize,
    /// The whole list is one call, whose concurrency is this.
    whole: Option<u32>,
    deadline: Option<Instant>,
    source: Option<BoxStream<'static, Request>>,
    position: usize,
    /// To be sent again, each from when on.
    again: Vec<(Instant, Item)>,
    /// The largest body so far, in bytes.
    largest: Option<usize>,
    loads: HashMap<String, Load>,
    calls: SelectAll<BoxStream<'static, (Arc<Endpoint>, Event)>>,
    ready: VecDeque<Outcome>,
    /// The places of those that were taken and have no outcome.
    open: BTreeSet<usize>,
    hold: Arc<Hold>,
    refreshing: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// In flight where the caller does not say: what a service has by default.
const DEFAULT_CONCURRENCY: usize = 50;

/// How long after the caller's deadline the ends of services may come.
const GRACE: Duration = Duration::from_secs(1);

/// The most requests that are sent ahead for each that may be in flight: they
/// wait at the service, so that a call is worth its cost.
const MAX_DEPTH: usize = 40;

/// How many bytes of bodies what is sent ahead may come to, as far as the bodies
/// before tell: it cannot be called back.
const AHEAD: usize = 8 << 20;

/// The most calls open at one replica.
const MAX_CALLS: usize = 32;

/// A replica takes no more than its fair share of what is in flight, and this
/// part of it.
const MORE_OF_SHARE: usize = 4;

impl Dispatch {
    /// `source`, fetched from `endpoints` by `plan`.
    pub(super) fn new(
        endpoints: Arc<Endpoints>,
        source: Source,
        plan: Plan,
        hold: Arc<Hold>,
    ) -> Self {
        let is_one = endpoints.count() == 1;
        let (source, whole) = match source {
            Source::List(list) => {
                let is_whole = is_one && fits_one_call(&list);
                (
                    stream::iter(list).boxed(),
                    is_whole.then_some(plan.concurrency),
                )
            }
            Source::Stream(stream) => (stream, None),
        };
        let refreshing = refresh_when_due(Arc::clone(&endpoints));
        Self {
            endpoints,
            concurrency: match plan.concurrency {
                0 => DEFAULT_CONCURRENCY,
                count => count as usize,
            },
            whole,
            deadline: plan
                .timeout
                .and_then(|timeout| Instant::now().checked_add(timeout)),
            source: Some(source),
            position: 0,
            again: Vec::new(),
            largest: None,
            loads: HashMap::new(),
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
        loop {
            if let Some(outcome) = self.ready.pop_front() {
                self.open.remove(&outcome.index);
                return Some(outcome);
            }
            self.send_again_what_is_due();
            let is_pausing = self.take_what_is_there();
            self.send(is_pausing);
            if !self.ready.is_empty() {
                continue;
            }
            if self.is_done() {
                return None;
            }
            let due = self.again.iter().map(|(due, _)| *due).min();
            let wants_more = self.wants_more();
            // Those that were sent are ended by their services, in time.
            let end = self.deadline.map(|deadline| deadline + GRACE);
            let is_waiting = !self.open.is_empty();
            let hold = Arc::clone(&self.hold);
            tokio::select! {
                biased;
                () = &mut self.refreshing => {
                    self.refreshing = refresh_when_due(Arc::clone(&self.endpoints));
                    self.look_again();
                }
                () = until(end), if is_waiting => self.end_all(),
                event = self.calls.next(), if !self.calls.is_empty() => {
                    if let Some((endpoint, event)) = event {
                        self.note(&endpoint, event);
                    }
                }
                request = next_of(&mut self.source), if wants_more => match request {
                    Some(request) => self.take(request),
                    None => self.source = None,
                },
                () = until(due) => {}
                () = hold.changed() => {}
            }
        }
    }

    /// Ends all that were taken: the deadline passed, and no service said so.
    fn end_all(&mut self) {
        self.calls.clear();
        self.again.clear();
        self.loads.clear();
        let lost = self.open.iter();
        self.ready
            .extend(lost.map(|position| Outcome::lost(*position, late())));
    }

    /// What waits for a replica may have one now.
    fn look_again(&mut self) {
        if self.endpoints.available().is_ok() {
            let now = Instant::now();
            self.again.iter_mut().for_each(|(due, _)| *due = now);
        }
    }

    fn is_done(&self) -> bool {
        self.source.is_none() && self.calls.is_empty() && self.again.is_empty()
    }

    /// Whether there is room for another request.
    fn wants_more(&self) -> bool {
        let has_room = self.whole.is_some() || self.load() < self.concurrency * self.depth();
        self.source.is_some() && has_room && !self.hold.is_on()
    }

    /// How many requests are sent for each that may be in flight. Over several
    /// replicas it is one: what waits at one could be worked by another.
    fn depth(&self) -> usize {
        let Some(largest) = self.largest else {
            return 1;
        };
        if self.endpoints.count() > 1 {
            return 1;
        }
        let round = self.concurrency.saturating_mul(largest).max(1);
        (AHEAD / round).clamp(1, MAX_DEPTH)
    }

    fn load(&self) -> usize {
        let loads = self.loads.values().map(Load::size);
        loads.sum::<usize>() + self.again.len()
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
        match request.into_message() {
            Ok(message) => self.assign(Item::new(position, message)),
            Err(error) => self.ready.push_back(Outcome::lost(position, error)),
        }
    }

    fn send_again_what_is_due(&mut self) {
        let now = Instant::now();
        let is_due = |(due, _): &mut (Instant, Item)| *due <= now;
        let due: Vec<_> = self.again.extract_if(.., is_due).collect();
        for (_, item) in due {
            self.assign(item);
        }
    }

    /// Gives `item` to the replica that its host prefers among those that have
    /// room.
    fn assign(&mut self, item: Item) {
        if self
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now())
        {
            return self.ready.push_back(Outcome::lost(item.position, late()));
        }
        let available = match self.endpoints.available() {
            Ok(available) => available,
            Err(back) => {
                // No later than the caller's deadline, of which it is told then.
                let due = self.deadline.map_or(back, |deadline| deadline.min(back));
                return self.again.push((due, item));
            }
        };
        let chosen = self.chosen(&available, item.host());
        let load = self.loads.entry(chosen).or_default();
        load.assigned.push(item);
    }

    /// The name of the replica for `host`: by rendezvous hashing, with bounded
    /// loads.
    fn chosen(&self, available: &[Arc<Endpoint>], host: &str) -> String {
        let share = self.share(available.len()) * self.depth();
        let most = share + share.div_ceil(MORE_OF_SHARE);
        let load = |endpoint: &Endpoint| self.loads.get(endpoint.name()).map_or(0, Load::size);
        let has_room = |endpoint: &&Arc<Endpoint>| self.whole.is_some() || load(endpoint) < most;
        let preferred = |endpoint: &&Arc<Endpoint>| endpoint.weight(host);
        let with_room = available.iter().filter(has_room).max_by_key(preferred);
        let least_loaded = || available.iter().min_by_key(|endpoint| load(endpoint));
        let chosen = with_room.or_else(least_loaded);
        chosen
            .map(|endpoint| endpoint.name().to_owned())
            .unwrap_or_default()
    }

    /// The fair share of one replica of `count`.
    fn share(&self, count: usize) -> usize {
        self.concurrency.div_ceil(count.max(1))
    }

    /// Sends the assigned requests: to a replica of whose share a quarter is free,
    /// or half if many requests follow one another in a call, or with any room if
    /// they are few and `nothing_comes` besides.
    fn send(&mut self, nothing_comes: bool) {
        let endpoints = self.endpoints.known();
        let share = self.share(endpoints.len());
        // The more calls, the fewer results share a message.
        let least = share.div_ceil(if self.depth() > 1 { 2 } else { 4 });
        for endpoint in endpoints.iter().filter(|endpoint| !endpoint.is_left_out()) {
            let Some(load) = self.loads.get_mut(endpoint.name()) else {
                continue;
            };
            while !load.assigned.is_empty() && load.calls < MAX_CALLS {
                let free = share.saturating_sub(load.in_flight);
                let is_worthwhile = free >= least;
                let is_all = nothing_comes && free >= load.assigned.len();
                if self.whole.is_none() && !is_worthwhile && !is_all {
                    break;
                }
                let items = load.next_call(self.whole.is_some(), free);
                let concurrency = match self.whole {
                    Some(concurrency) => concurrency,
                    None => u32::try_from(free.min(items.len())).unwrap_or(u32::MAX),
                };
                load.calls += 1;
                load.outstanding += items.len();
                load.in_flight += free.min(items.len());
                self.calls
                    .push(called(endpoint, items, concurrency, free, self.deadline));
            }
        }
        self.reassign(&endpoints);
    }

    /// What was given to a replica that is no more, or is left out, goes to
    /// another.
    fn reassign(&mut self, endpoints: &[Arc<Endpoint>]) {
        let known = |name: &str| endpoints.iter().find(|endpoint| endpoint.name() == name);
        let gone = self.loads.iter_mut().filter(|(name, _)| {
            let endpoint = known(name);
            endpoint.is_none_or(|endpoint| endpoint.is_left_out())
        });
        let left: Vec<_> = gone.flat_map(|(_, load)| load.assigned.drain(..)).collect();
        self.loads
            .retain(|name, load| load.size() > 0 || load.calls > 0 || known(name).is_some());
        let now = Instant::now();
        self.again.extend(left.into_iter().map(|item| (now, item)));
    }

    fn note(&mut self, endpoint: &Endpoint, event: Event) {
        let load = self.loads.entry(endpoint.name().to_owned()).or_default();
        match event {
            Event::Outcome {
                item,
                outcome,
                frees_slot,
            } => {
                load.outstanding -= 1;
                load.in_flight -= usize::from(frees_slot);
                let body = outcome.response.as_ref();
                let body = body.map_or(0, |response| response.body.len());
                self.largest = self.largest.max(Some(body));
                if !outcome.is_of_a_shutdown() {
                    endpoint.works();
                    self.ready.push_back(*outcome);
                    return;
                }
                endpoint.failed(None);
                if item.may_be_sent_again(outcome.stats.attempts > 0) {
                    self.again.push((Instant::now(), item));
                } else {
                    self.ready.push_back(*outcome);
                }
            }
            Event::Ended {
                left,
                slots,
                failure,
            } => {
                load.calls -= 1;
                load.outstanding -= left.len();
                load.in_flight -= slots;
                if let Some(failure) = failure {
                    self.resume(endpoint, left, &failure);
                }
            }
        }
    }

    /// Sends again what was left by a call that failed, where it may be.
    fn resume(&mut self, endpoint: &Endpoint, left: Vec<Item>, failure: &Failure) {
        if self.endpoints.count() > 1 {
            self.whole = None;
        }
        let (dispatched, for_room) = match failure.meaning {
            Meaning::Final => {
                let lost = left.into_iter();
                let lost = lost.map(|item| Outcome::lost(item.position, failure.error.clone()));
                return self.ready.extend(lost);
            }
            Meaning::Unsent => (false, false),
            Meaning::NotDispatched(wait) => {
                endpoint.failed(wait);
                (false, wait.is_some())
            }
            Meaning::Lost => {
                endpoint.failed(None);
                (true, false)
            }
        };
        let now = Instant::now();
        for mut item in left {
            item.refused(for_room);
            if item.may_be_sent_again(dispatched) {
                self.again.push((now, item));
            } else {
                let lost = Outcome::lost(item.position, failure.error.clone());
                self.ready.push_back(lost);
            }
        }
    }
}

/// The call of `items` at `endpoint`, of which `concurrency` may be in flight
/// there, and which fills `slots` of the replica's share, with the rest of the
/// time.
fn called(
    endpoint: &Arc<Endpoint>,
    items: Vec<Item>,
    concurrency: u32,
    slots: usize,
    deadline: Option<Instant>,
) -> BoxStream<'static, (Arc<Endpoint>, Event)> {
    // Of nothing left, next to nothing is said.
    let left = deadline.map(|deadline| {
        let left = deadline.saturating_duration_since(Instant::now());
        duration(left.max(Duration::from_millis(1)))
    });
    let message = FetchBatchRequest {
        requests: items.iter().map(|item| item.message.clone()).collect(),
        concurrency,
        timeout: left,
        ..FetchBatchRequest::default()
    };
    let responses = Responses::Of(Box::new((endpoint.service(), message)));
    let endpoint = Arc::clone(endpoint);
    let events = Call::new(items, slots, responses).events();
    events
        .map(move |event| (Arc::clone(&endpoint), event))
        .boxed()
}

fn late() -> Error {
    Error::Fetch {
        reason: Reason::BatchDeadline,
        message: "the deadline of the batch passed first".to_owned(),
        retryable: true,
    }
}

async fn next_of(source: &mut Option<BoxStream<'static, Request>>) -> Option<Request> {
    source.as_mut()?.next().await
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

fn refresh_when_due(endpoints: Arc<Endpoints>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        until(endpoints.refresh_due()).await;
        endpoints.refresh().await;
    })
}
