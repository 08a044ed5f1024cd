//! Runs batches: turns a list of requests into the stream of their parts.
//!
//! Each batch has a task of its own, the driver. It starts a worker for each slot that
//! the gate gives to the batch, at most as many as the concurrency of the batch. A
//! worker makes one attempt after another, and sends the parts to the stream through a
//! queue that is bounded in bytes. So if a caller does not read, the workers do not
//! read from its origins. A request that waits, for a slot or for another attempt,
//! needs neither slot nor task.
//!
//! The stream owns the driver, and the driver owns the workers. Dropping the stream
//! stops them, and closes their connections.

mod attempt;
mod driver;
mod job;
mod jobs;
mod last_part;
mod part_queue;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use http::HeaderValue;
use tokio::{
    sync::SetOnce,
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{
    caller::Caller,
    config::{Config, Limits},
    egress,
    fetch::Fetcher,
    gate::{self, Capacity, Gate},
    request::Batch,
    response::{FetchError, Part, Reason},
    retry,
    telemetry::Metrics,
};
use jobs::Jobs;

/// Runs batches within the limits of one process. Cheap to clone; all clones share
/// these limits.
#[derive(Clone)]
pub(crate) struct Scheduler(Arc<Engine>);

/// The results of a batch, in order of arrival. Dropping it stops the batch.
pub(crate) struct PartStream {
    run: Arc<Run>,
    queue: part_queue::Receiver,
    unfinished: u32,
    _driver: AbortOnDropHandle<()>,
}

/// Aborts a batch whose caller counts as gone. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AbortHandle(Arc<Run>);

/// The state that all batches share.
struct Engine {
    fetcher: Fetcher,
    gate: Gate,
    retry: retry::Policy,
    metrics: Arc<Metrics>,
    stopping: CancellationToken,
}

/// The state of one running batch.
struct Run {
    engine: Arc<Engine>,
    batch: Batch,
    jobs: Jobs,
    /// The batch is aborted: its requests need no end.
    aborted: CancellationToken,
    /// The error that ends the requests of all workers, once the batch must stop.
    end_error: SetOnce<FetchError>,
}

impl Scheduler {
    /// Creates a scheduler with connections of its own.
    pub(crate) fn new(
        config: &Config,
        policy: egress::Policy,
        metrics: Arc<Metrics>,
        user_agent: HeaderValue,
    ) -> Self {
        Self(Arc::new(Engine {
            fetcher: Fetcher::new(config, policy, user_agent),
            gate: Gate::new(capacity(&config.limits)),
            retry: retry::Policy::new(),
            metrics,
            stopping: CancellationToken::new(),
        }))
    }

    /// Starts a batch.
    pub(crate) fn run(&self, batch: Batch) -> PartStream {
        let (sender, queue) = part_queue::channel(self.0.metrics.stalled.clone());
        let unfinished = batch.requests.count();
        let run = Arc::new(Run {
            engine: Arc::clone(&self.0),
            jobs: Jobs::new(&self.0.gate, &batch),
            batch,
            aborted: CancellationToken::new(),
            end_error: SetOnce::new(),
        });
        let driver = tokio::spawn(driver::drive(Arc::clone(&run), sender));
        PartStream {
            run,
            queue,
            unfinished,
            _driver: AbortOnDropHandle::new(driver),
        }
    }

    /// Returns true if requests of callers other than `caller` wait for a slot.
    pub(crate) fn has_other_waiters(&self, caller: Caller) -> bool {
        self.0.gate.has_other_waiters(caller)
    }

    /// Counts the requests that wait for a slot, and those that have one.
    pub(crate) fn gate_counts(&self) -> gate::Counts {
        self.0.gate.counts()
    }

    /// Ends all unfinished requests, and all requests that come later, with
    /// `REASON_SHUTTING_DOWN`.
    pub(crate) fn stop(&self) {
        self.0.stopping.cancel();
    }
}

impl PartStream {
    /// Polls for the next part. Returns `None` after the last; every request has had
    /// exactly one end by then, unless [`PartStream::take_unfinished`] returns more
    /// than 0.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = ready!(self.queue.poll_recv(cx));
        if part.as_ref().is_some_and(|part| part.end.is_some()) {
            self.unfinished -= 1;
        }
        Poll::Ready(part)
    }

    /// Returns a handle that aborts the batch.
    pub(crate) fn abort_handle(&self) -> AbortHandle {
        AbortHandle(Arc::clone(&self.run))
    }

    /// Returns how many requests have had no end, and 0 from the second call on. More
    /// than 0 after the last part is a bug in the service.
    pub(crate) fn take_unfinished(&mut self) -> u32 {
        std::mem::take(&mut self.unfinished)
    }
}

impl AbortHandle {
    /// Stops the batch and frees its slots.
    pub(crate) fn abort(&self) {
        self.0.aborted.cancel();
        self.0.jobs.abort();
    }

    /// Returns true if the batch was aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        self.0.aborted.is_cancelled()
    }
}

impl Run {
    /// Ends the requests of all workers with `error`.
    fn end_workers(&self, error: FetchError) {
        // Only the driver sets it, and only once.
        let _ = self.end_error.set(error);
    }

    /// Waits until the batch must stop, and returns the error that says why.
    async fn stopped(&self) -> FetchError {
        tokio::select! {
            () = self.deadline() => FetchError::new(
                Reason::BatchDeadline,
                "the deadline of the batch passed before the request ended",
            ),
            () = self.engine.stopping.cancelled() => {
                FetchError::new(Reason::ShuttingDown, "the server is shutting down")
            }
        }
    }

    /// Waits until the deadline of the batch, if it has one.
    async fn deadline(&self) {
        match self.batch.deadline {
            // A timer would fire only at its next tick.
            Some(deadline) if deadline <= Instant::now() => {}
            Some(deadline) => time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }
}

fn capacity(limits: &Limits) -> Capacity {
    Capacity {
        slots: limits.max_in_flight as usize,
        reserved: limits.batches() as usize,
        per_host: Some(limits.max_per_host as usize).filter(|limit| *limit > 0),
    }
}
