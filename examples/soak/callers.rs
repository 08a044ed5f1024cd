//! Callers with different habits.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use fetchd::client::Client;
use futures_util::StreamExt;
use tokio::{task::JoinSet, time};

use crate::{BoxError, origin::Origin};

/// What callers have seen.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    ok: AtomicU64,
    failed: AtomicU64,
    lists: AtomicU64,
    cancelled: AtomicU64,
}

/// What a caller does with its lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Habit {
    /// Reads everything.
    Collects,
    /// Connects anew for each list.
    Reconnects,
    /// Leaves at some point.
    Cancels,
    /// Rests after each hundred results.
    ReadsSlowly,
    /// Stops reading for longer than the service allows, now and then.
    Stalls,
    /// Sends each request in a call of its own.
    Executes,
}

/// Two callers of each habit, apart from those who wait a lot.
const HABITS: [Habit; 8] = [
    Habit::Collects,
    Habit::Collects,
    Habit::Reconnects,
    Habit::Cancels,
    Habit::Cancels,
    Habit::ReadsSlowly,
    Habit::Stalls,
    Habit::Executes,
];

/// How many requests a list has.
const LENGTH: usize = 2_000;

/// How many requests in calls of their own are open at once.
const EXECUTED_AT_ONCE: usize = 16;

impl Counts {
    /// Returns how many requests have ended.
    pub(crate) fn fetches(&self) -> u64 {
        self.ok.load(Ordering::Relaxed) + self.failed.load(Ordering::Relaxed)
    }

    fn count(&self, is_ok: bool) {
        let count = if is_ok { &self.ok } else { &self.failed };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [ok, failed, lists, cancelled] = [&self.ok, &self.failed, &self.lists, &self.cancelled]
            .map(|count| count.load(Ordering::Relaxed));
        write!(
            f,
            "{ok} fetched, {failed} failed, {lists} lists, {cancelled} of them cancelled"
        )
    }
}

/// Calls the service at `url` until `target` requests have ended.
pub(crate) async fn call(
    url: &str,
    origin: Origin,
    counts: Arc<Counts>,
    target: u64,
) -> Result<(), BoxError> {
    let mut callers = JoinSet::new();
    for (number, habit) in HABITS.into_iter().enumerate() {
        let caller = Caller {
            url: url.to_owned(),
            origin: origin.clone(),
            counts: Arc::clone(&counts),
            habit,
            rng: fastrand::Rng::with_seed(number as u64),
        };
        callers.spawn(caller.call(target));
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

struct Caller {
    url: String,
    origin: Origin,
    counts: Arc<Counts>,
    habit: Habit,
    rng: fastrand::Rng,
}

impl Caller {
    async fn call(mut self, target: u64) -> Result<(), BoxError> {
        let mut client = Client::connect(&self.url).await?;
        while self.counts.fetches() < target {
            if self.habit == Habit::Reconnects {
                client = Client::connect(&self.url).await?;
            }
            match self.habit {
                Habit::Executes => self.execute(&client).await,
                _ => self.fetch(&client).await,
            }
            self.counts.lists.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Fetches a list.
    async fn fetch(&mut self, client: &Client) {
        let requests: Vec<_> = (0..LENGTH)
            .map(|_| self.origin.request(&mut self.rng))
            .collect();
        let concurrency = self.rng.u32(10..100);
        let leaves_after = self.rng.usize(..LENGTH);
        let stalls = self.rng.u32(..10) == 0;
        let mut outcomes = client.fetch(requests).concurrency(concurrency).outcomes();
        let mut seen = 0;
        while let Some(outcome) = outcomes.next().await {
            self.counts.count(outcome.error.is_none());
            seen += 1;
            match self.habit {
                Habit::Cancels if seen == leaves_after => {
                    self.counts.cancelled.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                Habit::ReadsSlowly if seen % 100 == 0 => {
                    time::sleep(Duration::from_millis(20)).await;
                }
                Habit::Stalls if stalls && seen == LENGTH / 2 => {
                    time::sleep(Duration::from_secs(7)).await;
                }
                _ => {}
            }
        }
    }

    /// Sends requests in calls of their own, and reads their bodies as streams.
    async fn execute(&mut self, client: &Client) {
        let requests: Vec<_> = (0..LENGTH / 10)
            .map(|_| self.origin.request(&mut self.rng))
            .collect();
        let calls = futures_util::stream::iter(requests).map(|request| async move {
            let response = client.execute(request).await.ok()?;
            response.bytes().await.ok()
        });
        let mut bodies = calls.buffer_unordered(EXECUTED_AT_ONCE);
        while let Some(body) = bodies.next().await {
            self.counts.count(body.is_some());
        }
    }
}
