//! Lists of requests.

use std::{sync::Arc, time::Duration};

use fetchd::{
    client::{Client, Error, Outcome, Request},
    proto::Reason,
};
use futures_util::{Stream, StreamExt, stream};
use tokio::time::{self, Instant};

use crate::{caller::Context, ending::Ending, oracle};

/// A list of requests.
#[derive(Debug, Clone)]
pub(crate) struct List {
    pub(crate) starts: Duration,
    /// The origin of each request.
    pub(crate) hosts: Vec<usize>,
    /// How many of 100 requests are POSTs.
    pub(crate) posts: u32,
    pub(crate) max_attempts: u32,
    pub(crate) concurrency: u32,
    /// The timeout of each request.
    pub(crate) timeout: Duration,
    pub(crate) style: Style,
    /// True if nothing is wrong with its origins.
    pub(crate) from_healthy: bool,
    pub(crate) must_succeed: MustSucceed,
    /// How long it may take, if that doesn't depend on faults.
    pub(crate) ends_within: Option<Duration>,
    /// How long it may take without faults between replicas, origins and callers, apart from
    /// [`BOUND`].
    pub(crate) takes: Duration,
    /// True if it's sent when everything should be well again.
    pub(crate) is_after_all: bool,
}

/// Which requests of a list to healthy origins nothing keeps from succeeding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MustSucceed {
    None,
    Gets,
    All,
}

/// How a caller sends a list and reads its results.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Style {
    Collect,
    InOrder,
    /// Leaves after this many results.
    Cancel {
        after: usize,
    },
    /// Rests between results.
    Slow(Duration),
    /// Has its requests one by one, at this interval.
    Stream(Duration),
    /// Sends each request in a call of its own, and streams its body, with a rest between
    /// its pieces. Leaves when a request has taken longer than its patience.
    Execute {
        rest: Duration,
        patience: Option<Duration>,
    },
    Deadline(Duration),
}

/// How much later than its timeout a request may end, if its caller reads at once.
const TIMEOUT_GRACE: Duration = Duration::from_secs(1);

/// How much later than its deadline a list may end.
const DEADLINE_GRACE: Duration = Duration::from_secs(1);

/// The default of the service for lists without a concurrency is at most this.
pub(crate) const MAX_DEFAULT_CONCURRENCY: u32 = 60;

/// How long a list may take once all faults are over, apart from what its own requests take.
///
/// The client notices a silent service after 30 s, and gives up after another 30 s without
/// any. Then a replica that was ejected is tried again after at most 7.5 s, or a minute if it
/// was full.
pub(crate) const BOUND: Duration = Duration::from_secs(200);

/// How long a list may take after all faults. At worst, the client still waits to try an
/// ejected replica again, or a full one has to close an idle connection first.
const AFTER_ALL: Duration = Duration::from_secs(30);

/// How many pieces a body has at most.
const MOST_PIECES: u32 = 64;

impl List {
    /// A list that's sent after all faults. It has a request for each of these origins, which
    /// are healthy.
    pub(crate) fn after_all(hosts: Vec<usize>) -> Self {
        Self {
            starts: Duration::ZERO,
            hosts,
            posts: 50,
            max_attempts: 1,
            concurrency: 0,
            timeout: Duration::from_secs(5),
            style: Style::Collect,
            from_healthy: true,
            must_succeed: MustSucceed::All,
            ends_within: Some(AFTER_ALL),
            takes: Duration::ZERO,
            is_after_all: true,
        }
    }

    /// Returns how long the list may take at most if it doesn't have to wait for others. A
    /// list without a concurrency gets the `default` of the service.
    pub(crate) fn own_time(&self, default: u32) -> Duration {
        self.rests() + self.timeout * self.length().div_ceil(self.width(default))
    }

    /// Returns for how long the list may hold slots, as a sum over all slots.
    pub(crate) fn slot_time(&self, default: u32) -> Duration {
        self.own_time(default) * self.width(default)
    }

    /// Returns how many requests are in flight if there are enough slots.
    fn width(&self, default: u32) -> u32 {
        match (self.style, self.concurrency) {
            (Style::Execute { .. }, concurrency) => concurrency.max(1),
            (_, 0) => default.min(50),
            (_, concurrency) => concurrency,
        }
    }

    /// Returns how long the caller itself rests.
    pub(crate) fn rests(&self) -> Duration {
        match self.style {
            Style::Slow(rest) | Style::Stream(rest) => rest * self.length(),
            Style::Execute { rest, .. } => rest * self.length() * MOST_PIECES,
            _ => Duration::ZERO,
        }
    }

    /// Returns how many calls the list may have open at most.
    pub(crate) fn most_calls(&self) -> usize {
        match self.style {
            Style::Execute { .. } => self.most_at_once(),
            // The client makes no more than this with a replica.
            _ => self.most_at_once().min(32),
        }
    }

    /// Returns how many requests may be in flight at once.
    pub(crate) fn most_at_once(&self) -> usize {
        match (self.style, self.concurrency) {
            (Style::Execute { .. }, concurrency) => concurrency.max(1) as usize,
            // That of the client is 50, and that of the service is below.
            (_, 0) => MAX_DEFAULT_CONCURRENCY as usize,
            (_, concurrency) => concurrency as usize,
        }
    }

    pub(crate) fn length(&self) -> u32 {
        u32::try_from(self.hosts.len()).unwrap_or(u32::MAX)
    }

    pub(crate) async fn send(self, name: &str, client: &Client, context: &Context) {
        let (ids, requests): (Vec<_>, Vec<_>) = self.requests(context).into_iter().unzip();
        let (first, count) = (ids.first().copied().unwrap_or_default(), ids.len());
        let (style, began) = (self.style, Instant::now());
        context.timeline.add(format_args!(
            "list {name} begins: {count} requests from {first} on, {style:?}"
        ));
        match style {
            Style::Execute { rest, patience } => {
                let how = (rest, patience);
                self.execute(how, client, context, &ids, requests).await;
            }
            Style::Stream(interval) => {
                let requests = stream::iter(requests).then(move |request| async move {
                    time::sleep(interval).await;
                    request
                });
                let fetch = client.fetch_stream(requests.boxed());
                let outcomes = fetch.concurrency(self.concurrency).outcomes();
                self.read(context, &ids, outcomes).await;
            }
            Style::InOrder => {
                let fetch = client.fetch(requests).concurrency(self.concurrency);
                let outcomes = fetch.in_order().enumerate().map(|(at, outcome)| {
                    if outcome.index != at {
                        context
                            .oracle
                            .report(format!("result {} came at {at}", outcome.index));
                    }
                    outcome
                });
                self.read(context, &ids, Box::pin(outcomes)).await;
            }
            _ => {
                let mut fetch = client.fetch(requests).concurrency(self.concurrency);
                if let Style::Deadline(timeout) = style {
                    fetch = fetch.timeout(timeout);
                }
                self.read(context, &ids, fetch.outcomes()).await;
            }
        }
        context.timeline.add(format_args!("list {name} has ended"));
        self.check_time(name, began, context);
        match style {
            Style::Cancel { after } if after < count => {}
            Style::Execute {
                patience: Some(_), ..
            } => {}
            _ => context.oracle.check_complete(&ids),
        }
        context.oracle.left(&ids);
    }

    /// Checks that the list has ended in time.
    fn check_time(&self, name: &str, began: Instant, context: &Context) {
        let most = match self.style {
            Style::Deadline(timeout) => Some(timeout + DEADLINE_GRACE),
            _ => self.ends_within,
        };
        let took = began.elapsed();
        if let Some(most) = most.filter(|most| took > *most) {
            context
                .oracle
                .report(format!("list {name} took {took:?}, more than {most:?}"));
        }
        let most = BOUND + self.takes;
        let healed = context.oracle.faults_ended().unwrap_or(Duration::MAX);
        let since_faults = context.timeline.elapsed().saturating_sub(healed);
        if took.min(since_faults) > most {
            context.oracle.report(format!(
                "list {name} took {took:?}, and {most:?} after all faults"
            ));
        }
    }

    /// Returns true if results may be read long after their ends: the caller rests, or results
    /// wait for earlier ones.
    fn is_read_late(&self) -> bool {
        matches!(
            self.style,
            Style::Slow(_) | Style::Execute { .. } | Style::InOrder
        )
    }

    fn requests(&self, context: &Context) -> Vec<(usize, Request)> {
        let list = Arc::new(oracle::List {
            most_at_once: context.is_exact.then(|| self.most_at_once()),
            is_read_late: self.is_read_late(),
            is_after_all: self.is_after_all,
            may_last: self.timeout + TIMEOUT_GRACE,
        });
        let request = |origin: &usize| {
            let host = &context.origins[*origin].host;
            let is_post = fastrand::u32(..100) < self.posts;
            let is_healthy = context.origins[*origin].behavior.is_healthy();
            let expected = oracle::Request {
                is_post,
                host: host.clone(),
                must_succeed: match self.must_succeed {
                    MustSucceed::None => false,
                    MustSucceed::Gets => is_healthy && !is_post,
                    MustSucceed::All => is_healthy,
                },
                list: Arc::clone(&list),
                ..oracle::Request::default()
            };
            let id = context.oracle.expect(expected);
            let url = format!("http://{host}/{id}");
            let request = if is_post {
                Request::post(url, vec![b'x'; fastrand::usize(..2_000)])
            } else {
                Request::get(url)
            };
            let request = request
                .max_attempts(self.max_attempts)
                .timeout(self.timeout);
            (id, request)
        };
        self.hosts.iter().map(request).collect()
    }

    /// Checks that neither the deadline of the list nor the timeout of a request comes early
    /// or late.
    fn check_deadline(&self, outcome: &Outcome, began: Instant, context: &Context) {
        let reason = outcome.error.as_ref().and_then(Error::reason);
        let total = outcome.stats.total.unwrap_or_default();
        let is_early = match (reason, self.style) {
            (Some(Reason::BatchDeadline), Style::Deadline(timeout)) => began.elapsed() < timeout,
            (Some(Reason::BatchDeadline), _) => true,
            (Some(Reason::Timeout), _) => total < self.timeout,
            _ => false,
        };
        // A second attempt may have to wait for a slot, which doesn't count.
        let is_only_one = self.max_attempts == 1 && outcome.stats.attempts == 1;
        let is_timed = is_only_one && context.is_exact && !self.is_read_late();
        if is_timed && total > self.timeout + TIMEOUT_GRACE {
            context
                .oracle
                .report(format!("a request of {:?} took {total:?}", self.timeout));
        }
        if is_early {
            context
                .oracle
                .report(format!("an early end after {total:?}: {:?}", outcome.error));
        }
    }

    /// Reads the results.
    async fn read(
        &self,
        context: &Context,
        ids: &[usize],
        mut outcomes: impl Stream<Item = Outcome> + Unpin,
    ) {
        let (mut count, began) = (0, Instant::now());
        loop {
            if let Style::Cancel { after } = self.style
                && count == after
            {
                context.timeline.add("cancelled");
                return;
            }
            let Some(outcome) = outcomes.next().await else {
                return;
            };
            count += 1;
            self.check_deadline(&outcome, began, context);
            match ids.get(outcome.index) {
                Some(id) => context.oracle.ended(*id, &Ending::of(&outcome)),
                None => context
                    .oracle
                    .report(format!("no request has index {}", outcome.index)),
            }
            if let Style::Slow(rest) = self.style {
                time::sleep(rest).await;
            }
        }
    }

    async fn execute(
        &self,
        (rest, patience): (Duration, Option<Duration>),
        client: &Client,
        context: &Context,
        ids: &[usize],
        requests: Vec<Request>,
    ) {
        // Not copied in a closure, which would borrow `ids` for a future that has to be `Send`.
        let ids = ids.to_vec();
        let calls = ids
            .into_iter()
            .zip(requests)
            .map(|(id, request)| async move {
                let call = execute_one(id, request, rest, client, context);
                let patience = patience.unwrap_or(Duration::MAX);
                if time::timeout(patience, call).await.is_err() {
                    context
                        .timeline
                        .add(format_args!("request {id} is cancelled"));
                    context.oracle.left(&[id]);
                }
            });
        let most = self.most_at_once();
        stream::iter(calls)
            .buffer_unordered(most)
            .collect::<()>()
            .await;
    }
}

/// Sends a request in a call of its own, and reads its body.
async fn execute_one(
    id: usize,
    request: Request,
    rest: Duration,
    client: &Client,
    context: &Context,
) {
    let response = client.execute(request).await;
    let has_begun = response.is_ok();
    let (error, response) = match response {
        Ok(response) => {
            let status = response.status().as_u16();
            let (error, body) = body(response, rest).await;
            (error, Some((status, body)))
        }
        Err(error) => (Some(error), None),
    };
    let response = response.as_ref();
    let ending = Ending {
        error: error.as_ref(),
        response: response.map(|(status, body)| (*status, &body[..])),
        attempts: has_begun.then_some(1),
    };
    context.oracle.ended(id, &ending);
}

/// Reads a body to its end.
async fn body(
    response: fetchd::client::reqwest::Response,
    rest: Duration,
) -> (Option<Error>, Vec<u8>) {
    let mut body = Vec::new();
    let mut chunks = response.bytes_stream();
    while let Some(chunk) = chunks.next().await {
        time::sleep(rest).await;
        match chunk {
            Ok(chunk) => body.extend(chunk),
            Err(error) => {
                let mut causes = std::iter::successors(
                    Some(&error as &(dyn std::error::Error + 'static)),
                    |error| error.source(),
                );
                let own = causes.find_map(|error| error.downcast_ref::<Error>());
                return (own.cloned(), body);
            }
        }
    }
    (None, body)
}
