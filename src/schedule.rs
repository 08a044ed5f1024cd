//! A batch, worked: from a list of requests to the stream of their parts.
//!
//! Each batch has tasks of its own, at most as many as its concurrency. A task
//! takes the next request that the gate lets start, makes one attempt, and hands
//! the parts to the stream through a queue that is bounded in bytes: a caller
//! that does not read stops the reading from its origins. A request that waits
//! for another attempt holds neither slot nor task.
//!
//! The stream owns the tasks: dropping it stops them, and with them their
//! connections.

mod job;
mod jobs;
mod queue;
mod worker;

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::HeaderValue;
use tokio::{task::JoinSet, time};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, Limits},
    egress,
    fetch::Fetcher,
    gate::{Gate, Room},
    request::{Batch, InvalidRequest, Request},
    response::{End, FetchError, Part, Reason, Timing},
    retry,
    telemetry::Metrics,
};
use jobs::Jobs;
use worker::Worker;

/// Works batches, all within the limits of one process.
#[derive(Clone)]
pub(crate) struct Scheduler(Arc<Engine>);

/// What all batches share.
struct Engine {
    fetcher: Fetcher,
    gate: Gate,
    retry: retry::Policy,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
}

/// The results of a batch, in order of arrival. Dropping it stops the batch.
pub(crate) struct Parts {
    run: Arc<Run>,
    /// Where to look for the next request that could not be sent.
    refused: usize,
    queue: queue::Receiver,
    unfinished: usize,
    _workers: JoinSet<()>,
}

/// What ends a batch whose caller counts as gone. Cheap to clone.
#[derive(Clone)]
pub(crate) struct GiveUp(Arc<Run>);

/// One batch being worked.
struct Run {
    engine: Arc<Engine>,
    batch: Batch,
    jobs: Jobs,
    /// Its caller counts as gone: nothing is worth doing any more.
    given_up: CancellationToken,
}

impl Scheduler {
    /// A scheduler with connections of its own.
    pub(crate) fn new(
        config: &Config,
        policy: egress::Policy,
        metrics: Arc<Metrics>,
        user_agent: HeaderValue,
    ) -> Self {
        Self(Arc::new(Engine {
            fetcher: Fetcher::new(config, policy, user_agent),
            gate: Gate::new(room(&config.limits)),
            retry: retry::Policy::new(),
            metrics,
            stopping: CancellationToken::new(),
        }))
    }

    /// Starts a batch.
    pub(crate) fn run(&self, batch: Batch) -> Parts {
        let (sender, queue) = queue::channel(self.0.metrics.stalled.clone());
        let total = batch.requests.len();
        let workers = batch.concurrency.min(total);
        let run = Arc::new(Run {
            engine: Arc::clone(&self.0),
            jobs: Jobs::new(&self.0.gate, &batch),
            batch,
            given_up: CancellationToken::new(),
        });
        let mut tasks = JoinSet::new();
        for _ in 0..workers {
            let worker = Worker::new(Arc::clone(&run), sender.clone());
            tasks.spawn(worker.work());
        }
        Parts {
            run,
            refused: 0,
            queue,
            unfinished: total,
            _workers: tasks,
        }
    }

    /// How many requests wait for a slot and have one, and how many waited for
    /// which limit.
    pub(crate) fn gate_counts(&self) -> ((usize, usize), [u64; 3]) {
        (self.0.gate.counts(), self.0.gate.waits())
    }

    /// Ends what is unfinished, now and later, with `REASON_SHUTTING_DOWN`.
    pub(crate) fn stop(&self) {
        self.0.stopping.cancel();
    }
}

impl Parts {
    /// The next part, or `None` after the last. Every request has had exactly
    /// one end by then, unless [`Parts::take_unfinished`] says otherwise.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = match self.next_refused() {
            Some(part) => part,
            None => match ready!(self.queue.poll_recv(cx)) {
                Some(part) => part,
                None => return Poll::Ready(None),
            },
        };
        self.unfinished -= usize::from(part.end.is_some());
        Poll::Ready(Some(part))
    }

    /// What ends the batch early.
    pub(crate) fn give_up(&self) -> GiveUp {
        GiveUp(Arc::clone(&self.run))
    }

    /// How many requests have had no end, asked for the first time. Other than
    /// 0 after the last part: a fault of the service.
    pub(crate) fn take_unfinished(&mut self) -> usize {
        std::mem::take(&mut self.unfinished)
    }

    /// The end of the next request that could not be sent: these need not wait
    /// for their turn.
    fn next_refused(&mut self) -> Option<Part> {
        let rest = self.run.batch.requests.get(self.refused..)?;
        let skipped = rest.iter().position(Result::is_err);
        let index = self.refused + skipped.unwrap_or(rest.len());
        self.refused = index + 1;
        let refused = self.run.batch.requests.get(index)?.as_ref().err()?;
        Some(refusal(index, refused))
    }
}

impl GiveUp {
    /// Stops the batch, and frees what it holds.
    pub(crate) fn now(&self) {
        self.0.given_up.cancel();
        self.0.jobs.give_up();
    }

    /// Whether the batch was given up.
    pub(crate) fn is_done(&self) -> bool {
        self.0.given_up.is_cancelled()
    }
}

impl Run {
    fn request(&self, index: u32) -> Option<&Request> {
        self.batch.requests.get(index as usize)?.as_ref().ok()
    }

    /// Waits until the batch must end, and says why.
    async fn stopped(&self) -> FetchError {
        let deadline = async {
            match self.batch.deadline {
                Some(deadline) => time::sleep_until(deadline).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = deadline => {
                FetchError::new(Reason::BatchDeadline, "the deadline of the batch passed first")
            }
            () = self.engine.stopping.cancelled() => {
                FetchError::new(Reason::ShuttingDown, "the server is shutting down")
            }
        }
    }
}

fn room(limits: &Limits) -> Room {
    Room {
        slots: limits.max_in_flight as usize,
        batches: limits.batches() as usize,
        per_host: Some(limits.max_per_host as usize).filter(|limit| *limit > 0),
    }
}

fn refusal(index: usize, invalid: &InvalidRequest) -> Part {
    let index = u32::try_from(index).expect("a batch is limited to far fewer requests");
    let error = FetchError::new(Reason::InvalidRequest, invalid.to_string());
    Part {
        index,
        head: None,
        body: bytes::Bytes::new(),
        end: Some(End {
            error: Some(error),
            attempts: 0,
            redirects: 0,
            body_bytes: 0,
            truncated: false,
            timing: Timing::default(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::egress::Policy;

    #[tokio::test]
    async fn a_panic_is_the_end_of_its_request_alone() {
        let config = Config::default();
        let scheduler = Scheduler::new(
            &config,
            egress::Policy::new(&config.egress),
            Arc::new(Metrics::new()),
            HeaderValue::from_static("test"),
        );
        let faulty = format!("http://{}/", Policy::FAULTY);
        // One worker: it goes on after the panic.
        let requests = ["http://127.0.0.1/", &faulty, "http://127.0.0.1/"];
        let mut parts = scheduler.run(Batch {
            requests: requests.map(|url| Request::new(url, "")).into(),
            concurrency: 1,
            arrival: time::Instant::now(),
            deadline: None,
        });
        let mut reasons = Vec::new();
        while let Some(part) = poll_fn(|cx| parts.poll_next(cx)).await {
            let error = part.end.expect("no response").error.expect("an error");
            reasons.push((part.index, error.reason));
        }
        let blocked = Reason::Blocked;
        assert_eq!(reasons, [(0, blocked), (1, Reason::Internal), (2, blocked)]);
        assert_eq!(parts.take_unfinished(), 0);
    }
}
