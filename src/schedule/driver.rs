//! The task of a batch: starts a worker for each slot that the gate gives, and
//! ends what is left if the batch must stop.

use std::{pin::pin, sync::Arc};

use tokio::{
    task::JoinSet,
    time::{self, Instant},
};

use super::{
    Run,
    job::Job,
    queue,
    worker::{Worker, end},
};
use crate::response::FetchError;

/// Works the batch of `run` until every request has had its end, or nobody waits
/// for one. Dropping the future stops all workers.
pub(super) async fn drive(run: Arc<Run>, parts: queue::Sender) {
    let driving = drive_to_the_end(&run, &parts);
    run.given_up.run_until_cancelled(driving).await;
}

async fn drive_to_the_end(run: &Arc<Run>, parts: &queue::Sender) {
    let mut workers = JoinSet::new();
    if !run.batch.requests.refused().is_empty() {
        workers.spawn(end_refused(Arc::clone(run), parts.clone()));
    }
    let stopped = {
        let work = pin!(work_through(run, parts, &mut workers));
        tokio::select! {
            biased;
            error = run.stopped() => error,
            () = work => return,
        }
    };
    run.end_workers(stopped.clone());
    end_waiting(run, parts, &stopped).await;
    while workers.join_next().await.is_some() {}
    // One may have put its job back just before it was ended.
    end_waiting(run, parts, &stopped).await;
}

/// Starts workers until no request is left.
async fn work_through(run: &Arc<Run>, parts: &queue::Sender, workers: &mut JoinSet<()>) {
    loop {
        let mut changed = pin!(run.jobs.changed());
        changed.as_mut().enable();
        let due = run.jobs.line_up(&run.batch);
        while let Some((job, slot)) = run.jobs.take(&run.batch) {
            let worker = Worker::new(Arc::clone(run), parts.clone());
            // Boxed, since spawning moves a future several times, and this is large.
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
async fn end_refused(run: Arc<Run>, parts: queue::Sender) {
    for index in run.batch.requests.refused() {
        let job = Job::new(*index, run.batch.arrival);
        if let Err(invalid) = run.batch.requests.get(*index) {
            let end = end(&job, invalid.into());
            parts.room_for(&end).await.fill(end);
        }
    }
}

/// Ends the requests that are with no worker.
async fn end_waiting(run: &Run, parts: &queue::Sender, error: &FetchError) {
    while let Some(job) = run.jobs.take_any(&run.batch) {
        let end = end(&job, error.clone());
        parts.room_for(&end).await.fill(end);
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}
