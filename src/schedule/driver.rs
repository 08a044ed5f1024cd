//! The task of a batch: starts a worker for each slot that the gate gives to the
//! batch, and ends the unfinished requests if the batch must stop.

use std::{pin::pin, sync::Arc};

use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

use super::{Run, last_part::LastPart, part_queue::Sender, worker::Worker};
use crate::response::FetchError;

/// Runs a batch until every request has its end, or until the batch is aborted.
/// Dropping the future stops all workers.
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
    // A worker may have put its job back just before it was ended.
    end_waiting(run, parts, &error).await;
}

/// Starts workers until all requests are finished.
async fn run_workers(run: &Arc<Run>, parts: &Sender, workers: &mut JoinSet<()>) {
    loop {
        let mut changed = pin!(run.jobs.changed());
        changed.as_mut().enable();
        let due = run.jobs.enqueue_due(&run.batch);
        while let Some((job, slot)) = run.jobs.take(&run.batch) {
            let worker = Worker::new(Arc::clone(run), parts.clone());
            // Boxed, since spawning moves the future several times, and it is large.
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

/// Ends the requests that cannot be sent, which need no slot.
async fn end_refused(run: Arc<Run>, parts: Sender) {
    for (index, invalid) in run.batch.requests.refused() {
        let last = LastPart::refused(index, run.batch.arrival, invalid.into());
        parts.send(last.into()).await;
    }
}

/// Ends the requests that no worker has.
async fn end_waiting(run: &Run, parts: &Sender, error: &FetchError) {
    while let Some(job) = run.jobs.take_any(&run.batch) {
        parts.send(job.fail(error.clone()).into()).await;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
