//! Jobs for contenders and their results, each a line of JSON.

use std::{
    io::{BufRead, Write},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// A number of fetches of one URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub url: String,
    /// The size of the body, in bytes.
    pub size: usize,
    pub count: usize,
    pub concurrency: usize,
    /// The number of lists of `count` URLs that are fetched concurrently.
    pub batches: usize,
    /// The number of repetitions, one after another.
    pub repeat: usize,
    /// The URL of the service, for its callers.
    pub server: String,
    /// The path of a root certificate, for https.
    pub ca: String,
    pub mode: Mode,
    /// The limit of a body for callers of the service, or 0 for the default.
    pub max_body_bytes: u64,
}

/// How a program reads the results.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Each result is read when it arrives, and dropped.
    Arrive,
    /// All results are kept in memory until the last one has arrived.
    Collect,
    /// There is one result, and its body is read as a stream.
    Stream,
}

/// The result of a job.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct JobResult {
    pub wall_s: f64,
    /// The total size of the bodies.
    pub bytes: u64,
    /// The time to the first result.
    pub first_ms: Option<f64>,
    /// The median time of a fetch, or of a batch if there are several batches.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// Collects the times of the fetches of a job.
pub struct Times {
    started: Instant,
    first: Option<Duration>,
    all: Vec<Duration>,
    pub bytes: u64,
}

impl Times {
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            first: None,
            all: Vec::new(),
            bytes: 0,
        }
    }

    /// Records a fetch of `bytes` that took `time`.
    pub fn record(&mut self, time: Duration, bytes: usize) {
        self.first.get_or_insert_with(|| self.started.elapsed());
        self.all.push(time);
        self.bytes += bytes as u64;
    }

    pub fn finish(mut self) -> JobResult {
        let wall_s = self.started.elapsed().as_secs_f64();
        self.all.sort_unstable();
        let percentile = |share: f64| {
            let position = (self.all.len() as f64 * share) as usize;
            let time = self
                .all
                .get(position.min(self.all.len().saturating_sub(1)))?;
            Some(time.as_secs_f64() * 1e3)
        };
        JobResult {
            wall_s,
            bytes: self.bytes,
            first_ms: self.first.map(|first| first.as_secs_f64() * 1e3),
            p50_ms: percentile(0.5),
            p99_ms: percentile(0.99),
        }
    }
}

/// Reads jobs from standard input, runs each with `work`, and prints its result.
pub fn serve<F: Future<Output = JobResult>>(runtime: &Runtime, work: impl Fn(Job) -> F) {
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is readable");
        let job = serde_json::from_str(&line).expect("the line is a job");
        let result = runtime.block_on(work(job));
        let result = serde_json::to_string(&result).expect("a result can be serialized");
        println!("{result}");
        std::io::stdout()
            .flush()
            .expect("standard output is a pipe to the bench");
    }
}
