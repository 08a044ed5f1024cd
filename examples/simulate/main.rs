//! Runs clients, replicas and origins in a simulated network, with faults, and checks after
//! each run what the service promises: see `oracle`.
//!
//! ```text
//! cargo run --release --example simulate -- --seeds 1000        # those in `known`, 0 to 999
//! cargo run --release --example simulate -- --seed 17           # one run, with its timeline
//! cargo run --release --example simulate -- --seeds 100 --twice # and compare timelines
//! ```
//!
//! The clients, the servers and all below them are the real ones. Simulated are the
//! network ([`fetchd::net`]), the clock (tokio's, paused: it jumps to the next timer once
//! nothing else is to be done) and randomness, all of which the seed decides. Each seed is run
//! in a process of its own, since tokio counts its runtimes.

#![allow(clippy::print_stdout, clippy::print_stderr, missing_docs)]

mod body;
mod caller;
mod chaos;
mod ending;
mod entropy;
mod fault;
mod known;
mod link;
mod list;
mod machine;
mod network;
mod oracle;
mod origin;
mod pipe;
mod replica;
mod runner;
mod scenario;
mod timeline;
mod world;

use std::{
    panic::AssertUnwindSafe,
    process::{self, ExitCode},
    sync::Arc,
    thread,
    time::Duration,
};

use clap::Parser;
use futures_util::FutureExt;
use known::KNOWN;
use runner::Runner;
use scenario::Scenario;
use world::World;

/// Runs the service in a simulated network.
#[derive(Debug, Parser)]
struct Args {
    /// How many seeds to run.
    #[arg(long, default_value_t = 100)]
    seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 0)]
    first: u64,
    /// Runs this seed only, and prints its timeline.
    #[arg(long)]
    seed: Option<u64>,
    /// Runs each seed twice, and compares the timelines.
    #[arg(long)]
    twice: bool,
    /// Stops after this many seeds that fail. Prints their timelines, unless it's more than
    /// one.
    #[arg(long, default_value_t = 1)]
    failures: u64,
}

/// How long a run may take. It's real time: a run that takes longer never ends.
const TIME_LIMIT: Duration = Duration::from_mins(2);

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        return run(seed);
    }
    let known = KNOWN.iter().map(|(seed, _)| *seed);
    let seeds = known.chain(args.first..args.first + args.seeds);
    Runner::new(seeds.collect(), args.twice, args.failures).run()
}

/// Runs one seed. Prints its timeline, and below it a line for the runner.
fn run(seed: u64) -> ExitCode {
    entropy::seed(seed);
    thread::spawn(move || {
        thread::sleep(TIME_LIMIT);
        println!("seed {seed} failed: it took more than {TIME_LIMIT:?}");
        process::exit(1);
    });
    let mut rng = fastrand::Rng::with_seed(seed);
    let scenario = Scenario::generate(&mut rng);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing of the system");
    let (timeline, violations) = runtime.block_on(async {
        let mut world = World::new(scenario, seed);
        let oracle = Arc::clone(world.oracle());
        let default_hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            oracle.report(format!("{panic}"));
            default_hook(panic);
        }));
        // The hook has reported a panic.
        let _ = AssertUnwindSafe(world.run()).catch_unwind().await;
        (Arc::clone(world.timeline()), world.oracle().violations())
    });
    println!("{timeline}");
    for violation in &violations {
        println!("seed {seed} failed: {violation}");
    }
    let (events, last) = timeline.extent();
    println!(
        "{events} events in {last:?}, timeline {:016x}",
        timeline.digest()
    );
    if violations.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
