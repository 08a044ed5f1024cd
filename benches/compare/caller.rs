//! The Rust client of the service or of the bare tonic server.

use std::time::{Duration, Instant};

use fetchd::client::{Client, Outcome, Request};
use futures_util::{StreamExt, future::join_all};

use super::job::{Job, JobResult, Mode, Times};

/// A timeout that no fetch of the comparison reaches.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Runs `job` with the Rust client.
pub async fn call(job: Job) -> JobResult {
    let client = Client::connect(&job.server).await;
    let client = client.expect("the service is running");
    let mut times = Times::start();
    if job.mode == Mode::Stream {
        stream(&client, &job, &mut times).await;
        return times.finish();
    }
    for _ in 0..job.repeat {
        if job.batches == 1 {
            let mut outcomes = client
                .fetch(requests(&job))
                .concurrency(job.concurrency as u32)
                .outcomes();
            let mut kept = Vec::new();
            while let Some(outcome) = outcomes.next().await {
                let bytes = size(&outcome);
                times.record(outcome.stats.total.unwrap_or_default(), bytes);
                if job.mode == Mode::Collect {
                    kept.push(outcome);
                }
            }
            continue;
        }
        let batches = (0..job.batches).map(async |_| {
            let started = Instant::now();
            let fetch = client
                .fetch(requests(&job))
                .concurrency(job.concurrency as u32);
            let outcomes: Vec<Outcome> = fetch.outcomes().collect().await;
            (started.elapsed(), outcomes.iter().map(size).sum::<usize>())
        });
        for (time, bytes) in join_all(batches).await {
            times.record(time, bytes);
        }
    }
    times.finish()
}

/// Fetches one body as a stream.
async fn stream(client: &Client, job: &Job, times: &mut Times) {
    let started = Instant::now();
    let response = client.execute(request(job)).await;
    let response = response.expect("the origin answers");
    let mut body = response.bytes_stream();
    let mut bytes = 0;
    while let Some(piece) = body.next().await {
        bytes += piece.expect("the body is complete").len();
    }
    times.record(started.elapsed(), bytes);
}

fn requests(job: &Job) -> Vec<Request> {
    vec![request(job); job.count]
}

fn request(job: &Job) -> Request {
    let request = Request::get(&job.url).timeout(TIMEOUT);
    match job.max_body_bytes {
        0 => request,
        limit => request.max_body_bytes(limit),
    }
}

fn size(outcome: &Outcome) -> usize {
    let response = outcome.response.as_ref().expect("the origin answers");
    response.body.len()
}
