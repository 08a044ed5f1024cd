//! Measures how two callers share the slots of the process, if one of them has a hundred
//! batches and the other one has a single one. All batches have the same requests.
//!
//! The share is that of the caller with one batch. It's measured at the origin, as the
//! average number of requests in flight over time.
//!
//! `cargo bench --bench fairness`

#![allow(clippy::pedantic, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../tests/it/support/mod.rs"]
mod support;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use fetchd::proto::FetchBatchRequest;
use support::{
    Origin, Process,
    caller::{self, loopback},
    reply, requests, until,
};
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

/// The highest accepted ratio of the single batch's time beside the others to its time
/// alone.
const MAX_SLOWDOWN: f64 = 2.2;

/// The accepted shares: within a tenth of a half.
const SHARES: std::ops::RangeInclusive<f64> = 0.45..=0.55;

/// How many batches the other caller has, and their concurrency.
const BATCHES: usize = 100;
const CONCURRENCY: u32 = 50;

/// The concurrency of the single batch: the maximum.
const MAX_CONCURRENCY: u32 = 512;

/// How long the origin takes to answer.
const DELAY: Duration = Duration::from_millis(500);

/// How many times the process could fill all its slots with the requests of a batch.
const ROUNDS: usize = 4;

/// The slots of the process, and how many of them are reserved (`--max-batches`).
const SHAPES: [(usize, usize); 4] = [(256, 128), (512, 128), (1024, 256), (1024, 512)];

/// An origin that counts the requests in flight of each caller. The caller with many
/// batches uses the path `/many`, the other one `/one`.
struct Counting {
    origin: Origin,
    many: Arc<AtomicUsize>,
    one: Arc<AtomicUsize>,
}

/// Counts a request as in flight for as long as it exists.
struct InFlight(Arc<AtomicUsize>);

#[derive(Debug)]
struct Measurement {
    alone: Duration,
    beside: Duration,
    /// The average numbers of requests in flight.
    many: f64,
    one: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut is_fair = true;
    println!("slots  reserved  alone     beside    ratio  many   one    share");
    for (slots, reserved) in SHAPES {
        let measured = measure(slots, reserved).await;
        let slowdown = measured.beside.as_secs_f64() / measured.alone.as_secs_f64();
        let share = measured.one / (measured.one + measured.many);
        is_fair &= slowdown <= MAX_SLOWDOWN && SHARES.contains(&share);
        let Measurement {
            alone,
            beside,
            many,
            one,
        } = measured;
        println!(
            "{slots:<6} {reserved:<9} {alone:<9.2?} {beside:<9.2?} {slowdown:<6.2} {many:<6.0} \
             {one:<6.0} {share:.3}"
        );
    }
    println!("expected a ratio of at most {MAX_SLOWDOWN}, and a share within {SHARES:?}");
    if is_fair {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

async fn measure(slots: usize, reserved: usize) -> Measurement {
    let (slots_flag, reserved_flag) = (slots.to_string(), reserved.to_string());
    let flags = [
        "--max-in-flight",
        &slots_flag,
        "--max-batches",
        &reserved_flag,
    ];
    let service = Process::serve(&flags);
    let counting = Counting::new().await;
    let batch = |path: &str, concurrency| FetchBatchRequest {
        requests: requests(vec![counting.origin.url(path); ROUNDS * slots]),
        concurrency,
        ..Default::default()
    };

    let mut one = caller::client(&service.url, loopback(1)).await;
    let alone = caller::fetch(&mut one, batch("one", MAX_CONCURRENCY)).await;
    let many = caller::client(&service.url, loopback(2)).await;
    let _many: Vec<_> = (0..BATCHES)
        .map(|_| {
            let (mut client, batch) = (many.clone(), batch("many", CONCURRENCY));
            AbortOnDropHandle::new(tokio::spawn(async move {
                loop {
                    caller::fetch(&mut client, batch.clone()).await;
                }
            }))
        })
        .collect();
    until(|| counting.many.load(Ordering::Relaxed) >= slots / 2).await;
    sleep(DELAY).await;
    let single = caller::fetch(&mut one, batch("one", MAX_CONCURRENCY));
    let (beside, many, one) = counting.observe(single).await;
    Measurement {
        alone,
        beside,
        many,
        one,
    }
}

impl Counting {
    async fn new() -> Self {
        let many: Arc<AtomicUsize> = Arc::default();
        let one: Arc<AtomicUsize> = Arc::default();
        let counters = (Arc::clone(&many), Arc::clone(&one));
        let origin = Origin::new(move |request| {
            let is_many = request.uri().path() == "/many";
            let counter = if is_many { &counters.0 } else { &counters.1 };
            let in_flight = InFlight::new(counter);
            async move {
                sleep(DELAY).await;
                drop(in_flight);
                reply("there")
            }
        });
        Self {
            origin: origin.await,
            many,
            one,
        }
    }

    /// Waits for the single batch. Returns its time, and how many requests of each caller
    /// have been in flight meanwhile: the average over time, without the beginning, in
    /// which slots are still held by requests that started earlier, and without the end, in
    /// which the batch doesn't need them anymore.
    async fn observe(&self, single: impl Future<Output = Duration>) -> (Duration, f64, f64) {
        const INTERVAL: Duration = Duration::from_millis(5);

        let begun = Instant::now();
        let mut samples = Vec::new();
        let mut single = std::pin::pin!(single);
        let took = loop {
            tokio::select! {
                took = &mut single => break took,
                () = sleep(INTERVAL) => {
                    let [many, one] = [&self.many, &self.one].map(|one| one.load(Ordering::Relaxed));
                    samples.push((begun.elapsed(), many as f64, one as f64));
                }
            }
        };
        let (mut time, mut many, mut one) = (0.0, 0.0, 0.0);
        for pair in samples.windows(2) {
            let (before, (at, of_many, of_one)) = (pair[0].0, pair[1]);
            if before > DELAY && at < took - 2 * DELAY {
                let weight = (at - before).as_secs_f64();
                time += weight;
                many += weight * of_many;
                one += weight * of_one;
            }
        }
        (took, many / time, one / time)
    }
}

impl InFlight {
    fn new(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(counter))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
