//! What a contender is asked to do, as a line of JSON, and what it answers.

use std::{
    io::{BufRead, Write},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// So many fetches of one URL.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    pub url: String,
    pub count: usize,
    pub concurrency: usize,
    /// How many lists of `count` are fetched at once.
    pub batches: usize,
    /// How often that is done, one after another.
    pub repeat: usize,
    /// The service, for its callers.
    pub server: String,
    /// A file with a root certificate, for https.
    pub ca: String,
    /// The body is read as a stream, and not kept.
    pub stream: bool,
}

/// How it went.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct Answer {
    pub wall_s: f64,
    /// Of bodies.
    pub bytes: u64,
    /// To the first result.
    pub first_ms: Option<f64>,
    /// Of one fetch, or of one batch if there are several.
    pub p50_ms: Option<f64>,
    pub p99_ms: Option<f64>,
}

/// Collects the times of the fetches of a job.
pub struct Times {
    begun: Instant,
    first: Option<Duration>,
    all: Vec<Duration>,
    pub bytes: u64,
}

impl Times {
    pub fn start() -> Self {
        Self {
            begun: Instant::now(),
            first: None,
            all: Vec::new(),
            bytes: 0,
        }
    }

    /// Notes a fetch that took so long.
    pub fn note(&mut self, took: Duration, bytes: usize) {
        self.first.get_or_insert_with(|| self.begun.elapsed());
        self.all.push(took);
        self.bytes += bytes as u64;
    }

    pub fn answer(mut self) -> Answer {
        let wall_s = self.begun.elapsed().as_secs_f64();
        self.all.sort_unstable();
        let at = |share: f64| {
            let position = (self.all.len() as f64 * share) as usize;
            let time = self
                .all
                .get(position.min(self.all.len().saturating_sub(1)))?;
            Some(time.as_secs_f64() * 1e3)
        };
        Answer {
            wall_s,
            bytes: self.bytes,
            first_ms: self.first.map(|first| first.as_secs_f64() * 1e3),
            p50_ms: at(0.5),
            p99_ms: at(0.99),
        }
    }
}

/// Does the jobs of standard input with `work`, one after another.
pub fn serve<F: Future<Output = Answer>>(runtime: &Runtime, work: impl Fn(Job) -> F) {
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("standard input is readable");
        let job = serde_json::from_str(&line).expect("a job");
        let answer = runtime.block_on(work(job));
        println!("{}", serde_json::to_string(&answer).expect("an answer"));
        std::io::stdout().flush().expect("somebody listens");
    }
}
