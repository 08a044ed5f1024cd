//! Runs many seeds, each in a process of its own.

use std::{
    env,
    process::{Command, ExitCode, Output},
    sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use tokio::time::Instant;

/// Runs seeds on all cores.
pub(crate) struct Runner {
    seeds: Vec<u64>,
    twice: bool,
    failures: u64,
    next: AtomicUsize,
    done: AtomicU64,
    events: AtomicU64,
    failed: AtomicU64,
    stops: AtomicBool,
}

/// The time between two lines about the progress.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

impl Runner {
    pub(crate) fn new(seeds: Vec<u64>, twice: bool, failures: u64) -> Self {
        Self {
            seeds,
            twice,
            failures,
            next: AtomicUsize::new(0),
            done: AtomicU64::new(0),
            events: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            stops: AtomicBool::new(false),
        }
    }

    /// Runs all seeds, and prints the timeline of the first that fails.
    pub(crate) fn run(&self) -> ExitCode {
        let began = Instant::now();
        let cores = thread::available_parallelism().map_or(1, Into::into);
        thread::scope(|scope| {
            for _ in 0..cores {
                scope.spawn(|| self.work());
            }
            let mut reported = began;
            while self.done.load(Ordering::Relaxed) < self.seeds.len() as u64
                && !self.stops.load(Ordering::Relaxed)
            {
                thread::sleep(Duration::from_millis(50));
                if reported.elapsed() >= REPORT_INTERVAL {
                    reported = Instant::now();
                    println!("{}", self.summary(began));
                }
            }
        });
        println!("{}", self.summary(began));
        match self.failed.load(Ordering::Relaxed) {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }

    fn summary(&self, began: Instant) -> String {
        let [done, events, failed] =
            [&self.done, &self.events, &self.failed].map(|count| count.load(Ordering::Relaxed));
        let seconds = began.elapsed().as_secs_f64();
        #[allow(clippy::cast_precision_loss)] // It's for people.
        let rate = done as f64 / seconds;
        format!(
            "{done} seeds in {seconds:.0} s, {rate:.0} seeds/s, {events} events, {failed} failed"
        )
    }

    fn work(&self) {
        while !self.stops.load(Ordering::Relaxed) {
            let Some(seed) = self.seeds.get(self.next.fetch_add(1, Ordering::Relaxed)) else {
                return;
            };
            let seed = *seed;
            let first = run(seed);
            let is_same = !self.twice || run(seed).stdout == first.stdout;
            self.done.fetch_add(1, Ordering::Relaxed);
            self.events.fetch_add(events(&first), Ordering::Relaxed);
            if !first.status.success() || !is_same {
                self.fail(seed, &first, is_same);
            }
        }
    }

    fn fail(&self, seed: u64, output: &Output, is_same: bool) {
        let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
        let text = String::from_utf8_lossy(&output.stdout);
        if failed <= self.failures && self.failures == 1 {
            println!("{text}{}", String::from_utf8_lossy(&output.stderr));
        }
        if !is_same {
            println!("seed {seed} failed: it has another timeline each time");
        } else if !text.contains("failed: ") {
            println!("seed {seed} failed: {}", output.status);
        } else if self.failures > 1 {
            let violations = text.lines().filter(|line| line.starts_with("seed "));
            violations.for_each(|line| println!("{line}"));
        }
        if failed >= self.failures {
            self.stops.store(true, Ordering::Relaxed);
        }
    }
}

/// Runs a seed. It finds no root certificates, which takes less time than reading them.
fn run(seed: u64) -> Output {
    let program = env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command
        .args(["--seed", &seed.to_string()])
        .env("SSL_CERT_FILE", "/dev/null")
        .env_remove("SSL_CERT_DIR");
    command.output().expect("this program can be run again")
}

/// Reads the number of events in the last line of a run.
fn events(output: &Output) -> u64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let last = text.lines().last().unwrap_or_default();
    let count = last.split(' ').next().unwrap_or_default();
    count.parse().unwrap_or(0)
}
