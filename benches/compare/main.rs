//! The service beside what it competes with, in one run: bare clients of hyper,
//! reqwest, curl, Go, Python, and for large bodies a bare tonic server.
//!
//! `cargo bench --bench compare` prints Markdown tables and writes them to
//! `benches/RESULTS.md`. `-- --short` runs everything with tiny counts, once, and
//! writes to `target/compare/`; `-- --only W1,W4` runs some of it; `-- --rounds N`
//! sets the rounds (5). `FETCHD_BASELINE=PATH` compares with another build of
//! the service too. What it needs besides is installed into `target/compare/`;
//! what cannot be had is left out, and said.
//!
//! The contenders are processes of their own, so that their CPU time and memory
//! can be told apart, and take turns within each round.

#![allow(
    unreachable_pub,
    clippy::pedantic,
    clippy::disallowed_types,
    clippy::print_stderr,
    clippy::print_stdout
)]

mod bare;
mod caller;
mod contender;
mod job;
mod measure;
mod options;
mod origin;
mod report;
mod setup;
mod tonic_server;
mod worker;
mod workloads;

use std::env;

use tokio::runtime::Runtime;

fn main() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the limit of open files can be raised");
    let arguments: Vec<String> = env::args().skip(1).collect();
    let runtime = || Runtime::new().expect("a runtime starts");
    match arguments.first().map(String::as_str) {
        Some("origin") => runtime().block_on(origin::run(&arguments[1..])),
        Some("hyper-util") => job::serve(&runtime(), bare::pooled),
        Some("driven") => job::serve(&runtime(), bare::driven),
        Some("reqwest") => job::serve(&runtime(), bare::reqwest),
        Some("caller") => job::serve(&runtime(), caller::call),
        Some("tonic-server") => runtime().block_on(tonic_server::run()),
        _ => workloads::run(options::Options::of(&arguments)),
    }
}
