//! The callers: twelve, most of which read everything.

use std::{sync::Arc, time::Duration};

use fetchd::client::Client;
use futures_util::StreamExt;
use tokio::{task::JoinSet, time};

use crate::{BoxError, mix::Kind, origin::Origins, service, tally::Tally};

/// How a caller reads its results.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Reading {
    Everything,
    /// Cancels each list half-way.
    Half,
    /// Reads everything, over a new connection for each list.
    Reconnecting,
    Slowly,
    /// Requests large bodies, and stops reading for longer than the stall timeout.
    Stopping,
}

use Reading::{Everything, Half, Reconnecting, Slowly, Stopping};

const CALLERS: [Reading; 12] = [
    Everything,
    Everything,
    Everything,
    Everything,
    Everything,
    Everything,
    Half,
    Half,
    Reconnecting,
    Slowly,
    Slowly,
    Stopping,
];

/// How long a slow caller waits after each result.
const SLOW_READ: Duration = Duration::from_millis(5);

/// The running callers. They end if this is dropped.
pub(crate) struct Callers(JoinSet<Result<(), BoxError>>);

impl Callers {
    /// Starts all callers. Each ends with its list if `limit` fetches have finished.
    pub(crate) fn start(url: String, origins: Origins, tally: &Arc<Tally>, limit: u64) -> Self {
        let mut tasks = JoinSet::new();
        for (number, reading) in CALLERS.into_iter().enumerate() {
            let mut caller = Caller {
                url: url.clone(),
                origins: origins.clone(),
                tally: Arc::clone(tally),
                reading,
                position: number * (1 << 24) / CALLERS.len(),
            };
            tasks.spawn(async move { caller.run(limit).await });
        }
        Self(tasks)
    }

    /// Waits until all callers have ended. Cancellation-safe.
    ///
    /// # Errors
    ///
    /// Fails if a caller can't connect, or if it panics.
    pub(crate) async fn join(&mut self) -> Result<(), BoxError> {
        while let Some(ended) = self.0.join_next().await {
            ended??;
        }
        Ok(())
    }
}

struct Caller {
    url: String,
    origins: Origins,
    tally: Arc<Tally>,
    reading: Reading,
    /// The position of the next fetch. Callers start far apart, so that each has other
    /// hosts that refuse.
    position: usize,
}

impl Caller {
    async fn run(&mut self, limit: u64) -> Result<(), BoxError> {
        let mut client = Client::connect(&self.url).await?;
        while self.tally.fetches() < limit {
            if self.reading == Reconnecting {
                client = Client::connect(&self.url).await?;
            }
            self.fetch_list(&client).await;
        }
        Ok(())
    }

    /// Fetches one list.
    async fn fetch_list(&mut self, client: &Client) {
        let (count, concurrency) = match self.reading {
            Everything | Half => (1000, 50),
            Reconnecting => (250, 25),
            Slowly => (200, 20),
            Stopping => (100, 50),
        };
        let start = self.position;
        self.position += count;
        let kind = |index: usize| match self.reading {
            Stopping => Kind::Unread,
            _ => Kind::at(start + index),
        };
        let requests = (0..count).map(|index| kind(index).request(&self.origins, start + index));
        let mut outcomes = client.fetch(requests).concurrency(concurrency).outcomes();
        let mut seen = 0;
        while let Some(outcome) = outcomes.next().await {
            self.tally.add(kind(outcome.index), &outcome);
            seen += 1;
            match self.reading {
                Half if seen == count / 2 => return self.tally.add_cancelled(),
                Slowly => time::sleep(SLOW_READ).await,
                Stopping if seen == 1 => time::sleep(service::STALL_TIMEOUT * 2).await,
                _ => {}
            }
        }
    }
}
