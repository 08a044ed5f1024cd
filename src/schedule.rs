//! Runs batches. A batch is a list of requests, and running it gives a stream of parts.
//!
//! Each batch has its own task, called the driver. It starts a worker for every slot that
//! the gate gives to the batch, up to the batch's concurrency. A worker makes one attempt
//! after another, and sends the parts to the stream through a queue that's bounded in
//! bytes. So if a caller doesn't read, the workers don't read from its origins either. A
//! request that's waiting for a slot or for a retry needs neither a slot nor a task.
//!
//! The stream owns the driver, and the driver owns the workers. If you drop the stream,
//! everything stops and the connections are closed.

mod attempt;
mod driver;
mod host_stats;
mod job;
mod jobs;
mod last_part;
mod part_queue;
mod running;
#[cfg(test)]
mod tests;
mod worker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::HeaderValue;
use tokio::{
    sync::SetOnce,
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Span;

use crate::{
    caller::Caller,
    config::{Config, Limits},
    egress,
    fetch::Fetcher,
    gate::{self, Capacity, Gate},
    request::{Batch, Sendable},
    response::{FetchError, Part, Reason},
    retry,
    telemetry::{BatchTrace, Connections, Metrics},
};
pub(crate) use host_stats::{HostStats, HostSummary};
use jobs::Jobs;
use last_part::LastPart;
use running::RunningBatches;
pub(crate) use running::{BusyCaller, RunningBatch};

/// Runs batches, within limits that apply to the whole process.
///
/// Clones share these limits.
#[derive(Clone)]
pub(crate) struct Scheduler(Arc<Engine>);

/// A batch's results, in order of arrival. Dropping it stops the batch.
pub(crate) struct PartStream {
    run: Arc<Run>,
    queue: part_queue::Receiver,
    /// The batch's key in [`RunningBatches`].
    key: u64,
    _driver: AbortOnDropHandle<()>,
}

/// Aborts a batch, because its caller is considered gone. Cheap to clone.
#[derive(Clone)]
pub(crate) struct AbortHandle(Arc<Run>);

/// State shared by all batches.
struct Engine {
    fetcher: Fetcher,
    gate: Gate,
    retry: retry::Policy,
    metrics: Arc<Metrics>,
    running: RunningBatches,
    /// `None` unless the operator wants to see the names of hosts.
    hosts: Option<HostStats>,
    stopping: CancellationToken,
}

/// State of a running batch.
struct Run {
    engine: Arc<Engine>,
    batch: Batch,
    /// `None` if the batch isn't traced.
    trace: Option<Arc<BatchTrace>>,
    jobs: Jobs,
    /// How many requests haven't ended.
    unfinished: AtomicU32,
    /// Cancelled when the batch is aborted. Its requests don't need a result then.
    aborted: CancellationToken,
    /// Set once the batch has to stop. All workers end their request with this error.
    end_error: SetOnce<FetchError>,
}

impl Scheduler {
    /// Creates a scheduler. It has its own connection pool.
    pub(crate) fn new(
        config: &Config,
        policy: egress::Policy,
        metrics: Arc<Metrics>,
        user_agent: HeaderValue,
    ) -> Self {
        Self(Arc::new(Engine {
            fetcher: Fetcher::new(config, policy, user_agent, metrics.origins.clone()),
            gate: Gate::new(capacity(&config.limits)),
            retry: retry::Policy::new(),
            metrics,
            running: RunningBatches::default(),
            hosts: config.admin_hosts.then(HostStats::new),
            stopping: CancellationToken::new(),
        }))
    }

    /// Starts running a batch. If there's a `trace`, its requests have spans.
    pub(crate) fn run(&self, batch: Batch, trace: Option<Arc<BatchTrace>>) -> PartStream {
        let (sender, queue) = part_queue::channel(self.0.metrics.stalled.clone());
        let run = Arc::new(Run {
            engine: Arc::clone(&self.0),
            jobs: Jobs::new(&self.0.gate, &batch),
            unfinished: AtomicU32::new(batch.requests.count()),
            batch,
            trace,
            aborted: CancellationToken::new(),
            end_error: SetOnce::new(),
        });
        let driver = tokio::spawn(driver::drive(Arc::clone(&run), sender));
        PartStream {
            key: self.0.running.add(&run),
            run,
            queue,
            _driver: AbortOnDropHandle::new(driver),
        }
    }

    /// Returns true if callers other than `caller` have requests waiting for a slot.
    pub(crate) fn has_other_waiters(&self, caller: Caller) -> bool {
        self.0.gate.has_other_waiters(caller)
    }

    /// Returns how many requests are waiting for a slot, and how many have one.
    pub(crate) fn gate_counts(&self) -> gate::Counts {
        self.0.gate.counts()
    }

    /// Returns how many connections to origins there are.
    pub(crate) fn origin_connections(&self) -> Connections {
        self.0.fetcher.connections()
    }

    /// Returns how many retry budgets there are.
    pub(crate) fn retry_budgets(&self) -> retry::BudgetCounts {
        self.0.retry.budget_counts()
    }

    /// Returns the statistics of hosts, if the operator has turned them on.
    pub(crate) fn host_stats(&self) -> Option<&HostStats> {
        self.0.hosts.as_ref()
    }

    /// Ends all unfinished requests with `REASON_SHUTTING_DOWN`. This goes for any
    /// requests that come later, too.
    pub(crate) fn stop(&self) {
        self.0.stopping.cancel();
    }
}

impl PartStream {
    /// Polls for the next part. Returns `None` after the last one.
    ///
    /// Every request has had exactly one end by then. If not,
    /// [`PartStream::take_unfinished`] returns how many are missing.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        let part = ready!(self.queue.poll_recv(cx));
        if part.as_ref().is_some_and(|part| part.end.is_some()) {
            self.run.unfinished.fetch_sub(1, Ordering::Relaxed);
        }
        Poll::Ready(part)
    }

    /// Returns a handle for aborting the batch.
    pub(crate) fn abort_handle(&self) -> AbortHandle {
        AbortHandle(Arc::clone(&self.run))
    }

    /// Returns how many requests haven't ended, and resets that to 0. If it's more than 0
    /// after the last part, there's a bug somewhere.
    pub(crate) fn take_unfinished(&mut self) -> u32 {
        self.run.unfinished.swap(0, Ordering::Relaxed)
    }
}

impl Drop for PartStream {
    fn drop(&mut self) {
        self.run.engine.running.remove(self.key);
    }
}

impl AbortHandle {
    /// Stops the batch and frees its slots.
    pub(crate) fn abort(&self) {
        self.0.aborted.cancel();
        self.0.jobs.abort();
    }

    /// Returns the parent of everything we log about the batch.
    pub(crate) fn span(&self) -> &Span {
        &self.0.batch.span
    }

    /// Returns true if the batch was aborted.
    pub(crate) fn is_aborted(&self) -> bool {
        self.0.aborted.is_cancelled()
    }
}

impl Run {
    /// Makes all workers end their request with `error`.
    fn end_workers(&self, error: FetchError) {
        // This can't fail, because only the driver sets it, and only once.
        let _ = self.end_error.set(error);
    }

    /// If the batch is traced, exports a span for a request that was never dispatched.
    /// `request` is `None` if it can't be decoded.
    fn trace_undispatched(&self, last: &LastPart, request: Option<Sendable>) {
        if let Some(trace) = &self.trace {
            let decoded = || self.batch.requests.decode(request?).ok();
            trace.undispatched(last.index, decoded, &last.end);
        }
    }

    /// Waits until the batch has to stop, and returns the reason as an error.
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

    /// Waits for the batch's deadline. If it has none, this never completes.
    async fn deadline(&self) {
        match self.batch.deadline {
            // Return right away. A timer wouldn't fire until its next tick.
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
