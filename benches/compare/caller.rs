//! A caller of the service, or of the bare tonic server, in Rust.

use std::time::{Duration, Instant};

use fetchd::client::{Client, Outcome, Request};
use futures_util::{StreamExt, future::join_all};

use super::job::{Answer, Job, Times};

/// Longer than any body here takes.
const LONG: Duration = Duration::from_secs(300);

/// Fetches by the client, with the body as a stream if the job says so.
pub async fn call(job: Job) -> Answer {
    let client = Client::connect(&job.server).await;
    let client = client.expect("the service was started");
    let mut times = Times::start();
    if job.stream {
        stream(&client, &job, &mut times).await;
        return times.answer();
    }
    for _ in 0..job.repeat {
        if job.batches == 1 {
            let mut outcomes = client
                .fetch(requests(&job))
                .concurrency(job.concurrency as u32)
                .outcomes();
            while let Some(outcome) = outcomes.next().await {
                let bytes = size(&outcome);
                times.note(outcome.stats.total.unwrap_or_default(), bytes);
            }
            continue;
        }
        let batches = (0..job.batches).map(async |_| {
            let begun = Instant::now();
            let fetch = client
                .fetch(requests(&job))
                .concurrency(job.concurrency as u32);
            let outcomes: Vec<Outcome> = fetch.outcomes().collect().await;
            (begun.elapsed(), outcomes.iter().map(size).sum::<usize>())
        });
        for (took, bytes) in join_all(batches).await {
            times.note(took, bytes);
        }
    }
    times.answer()
}

async fn stream(client: &Client, job: &Job, times: &mut Times) {
    let begun = Instant::now();
    let request = Request::get(&job.url).max_body_bytes(1 << 30).timeout(LONG);
    let response = client.execute(request).await.expect("the origin answers");
    let mut body = response.bytes_stream();
    let mut bytes = 0;
    while let Some(piece) = body.next().await {
        bytes += piece.expect("a whole body").len();
    }
    times.note(begun.elapsed(), bytes);
}

fn requests(job: &Job) -> Vec<Request> {
    let request = Request::get(&job.url).timeout(LONG);
    vec![request; job.count]
}

fn size(outcome: &Outcome) -> usize {
    let response = outcome.response.as_ref().expect("the origin answers");
    response.body.len()
}
