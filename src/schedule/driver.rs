//! The task that runs a batch. It starts a worker for every slot the gate gives to the
//! batch. If the batch has to stop early, it ends all unfinished requests.

use std::{pin::pin, sync::Arc};

use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

use super::{Run, last_part::LastPart, part_queue::Sender, worker::Worker};
use crate::response::FetchError;

/// Runs a batch until all of its requests have ended, or until it's aborted. Dropping the
/// future stops all workers.
pub(super) async fn drive(run: Arc<Run>, parts: Sender) {
    let driving = drive_to_end(&run, &parts);
    run.aborted.run_until_cancelled(driving).await;
}

async fn drive_to_end(run: &Arc<Run>, parts: &Sender) {
    let mut workers = JoinSet::new();
    if run.batch.requests.has_refused() {
        workers.spawn(end_refused(Arc::clone(run), parts.clone()));
    }
    let error = {
        let work = pin!(run_workers(run, parts, &mut workers));
        tokio::select! {
            biased;
            error = run.stopped() => error,
            () = work => return,
        }
    };
    run.end_workers(error.clone());
    end_waiting(run, parts, &error).await;
    while workers.join_next().await.is_some() {}
    // Check again, because a worker may have put its job back just before we ended it.
    end_waiting(run, parts, &error).await;
}

/// Starts workers until all requests are done.
async fn run_workers(run: &Arc<Run>, parts: &Sender, workers: &mut JoinSet<()>) {
    loop {
        let mut changed = pin!(run.jobs.changed());
        changed.as_mut().enable();
        let due = run.jobs.enqueue_due(&run.batch);
        while let Some((job, slot)) = run.jobs.take(&run.batch) {
            let worker = Worker::new(Arc::clone(run), parts.clone());
            // Box the future. It's large, and spawning it would move it several times.
            workers.spawn(Box::pin(worker.work(job, slot)));
        }
        while workers.try_join_next().is_some() {}
        if workers.is_empty() && run.jobs.is_empty() {
            return;
        }
        tokio::select! {
            Some(_) = workers.join_next() => {}
            () = changed => {}
            () = until(due) => {}
        }
    }
}

/// Ends the requests that can't be sent. They don't need a slot for that.
async fn end_refused(run: Arc<Run>, parts: Sender) {
    for (index, invalid) in run.batch.requests.refused() {
        let last = LastPart::refused(index, run.batch.arrival, invalid.into());
        run.trace_undispatched(&last, None);
        parts.send(last.into()).await;
    }
}

/// Ends all requests that aren't being worked on.
async fn end_waiting(run: &Run, parts: &Sender, error: &FetchError) {
    while let Some(mut job) = run.jobs.take_any(&run.batch) {
        let last = job.fail(error.clone());
        if !job.is_dispatched() {
            run.trace_undispatched(&last, Some(job.request));
        }
        parts.send(last.into()).await;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
