//! A batch, worked: from a list of requests to the stream of their parts.
//!
//! Each batch has a task of its own, the driver, which starts a worker for each
//! slot that the gate gives: at most as many as the concurrency of the batch. A
//! worker makes one attempt after another and hands the parts to the stream
//! through a queue that is bounded in bytes: a caller that does not read stops the
//! reading from its origins. A request that waits, for a slot or for another
//! attempt, holds neither slot nor task.
//!
//! The stream owns the driver, and the driver the workers: dropping it stops
//! them, and with them their connections.

mod driver;
mod job;
mod jobs;
mod queue;
mod worker;

use std::{
    sync::{Arc, OnceLock},
    task::{Context, Poll, ready},
};

use http::HeaderValue;
use tokio::time;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    caller::Caller,
    config::{Config, Limits},
    egress,
    fetch::Fetcher,
    gate::{Gate, Room},
    request::Batch,
    response::{FetchError, Part, Reason},
    retry,
    telemetry::Metrics,
};
use jobs::Jobs;

/// Works batches, all within the limits of one process.
#[derive(Clone)]
pub(crate) struct Scheduler(Arc<Engine>);

/// What all batches share.
struct Engine {
    fetcher: Fetcher,
    gate: Gate,
    retry: retry::Budgets,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
}

/// The results of a batch, in order of arrival. Dropping it stops the batch.
pub(crate) struct Parts {
    run: Arc<Run>,
    queue: queue::Receiver,
    unfinished: u32,
    _driver: AbortOnDropHandle<()>,
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
    /// The requests under way are to end with `end_error`.
    ended: CancellationToken,
    end_error: OnceLock<FetchError>,
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
            retry: retry::Budgets::new(),
            metrics,
            stopping: CancellationToken::new(),
        }))
    }

    /// Starts a batch.
    pub(crate) fn run(&self, batch: Batch) -> Parts {
        let (sender, queue) = queue::channel(self.0.metrics.stalled.clone());
        let total = batch.requests.count();
        let run = Arc::new(Run {
            engine: Arc::clone(&self.0),
            jobs: Jobs::new(&self.0.gate, &batch),
            batch,
            given_up: CancellationToken::new(),
            ended: CancellationToken::new(),
            end_error: OnceLock::new(),
        });
        let driver = tokio::spawn(driver::drive(Arc::clone(&run), sender));
        Parts {
            run,
            queue,
            unfinished: total,
            _driver: AbortOnDropHandle::new(driver),
        }
    }

    /// Returns true if requests of others than `caller` wait for a slot.
    pub(crate) fn is_wanted_beside(&self, caller: Caller) -> bool {
        self.0.gate.is_wanted_beside(caller)
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
        let part = ready!(self.queue.poll_recv(cx));
        if part.as_ref().is_some_and(|part| part.end.is_some()) {
            self.unfinished -= 1;
        }
        Poll::Ready(part)
    }

    /// What ends the batch early.
    pub(crate) fn give_up(&self) -> GiveUp {
        GiveUp(Arc::clone(&self.run))
    }

    /// How many requests have had no end, asked for the first time. Other than
    /// 0 after the last part: a fault of the service.
    pub(crate) fn take_unfinished(&mut self) -> u32 {
        std::mem::take(&mut self.unfinished)
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
    /// Ends the requests that are with workers with `error`.
    fn end_workers(&self, error: FetchError) {
        // Done once, by the driver.
        let _ = self.end_error.set(error);
        self.ended.cancel();
    }

    /// Waits until the batch must end, and says why.
    async fn stopped(&self) -> FetchError {
        let deadline = async {
            match self.batch.deadline {
                // A timer would take until its next tick.
                Some(deadline) if deadline <= time::Instant::now() => {}
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

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::{
        egress::Policy,
        request::{InvalidRequest, Request, Requests},
    };

    struct Urls(Vec<String>);

    impl Requests for Urls {
        fn count(&self) -> u32 {
            u32::try_from(self.0.len()).unwrap()
        }

        fn refused(&self) -> &[u32] {
            &[]
        }

        fn get(&self, index: u32) -> Result<Request, InvalidRequest> {
            Request::new(&self.0[index as usize], "")
        }
    }

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
            requests: Box::new(Urls(requests.map(str::to_owned).into())),
            caller: Caller::at(None),
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
