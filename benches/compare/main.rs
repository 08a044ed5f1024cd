//! Compares the service with its alternatives: bare hyper clients, reqwest, curl, the usual
//! HTTP clients of Go, Node.js and Python, and for large bodies a bare tonic server.
//!
//! `cargo bench --bench compare` prints Markdown tables and writes them to
//! `benches/RESULTS.md`. `-- --short` runs one round with small counts and writes to
//! `target/compare/`. `-- --only W1,W4` runs only these workloads, and writes there too,
//! unless `--update` says that it replaces their results in `benches/RESULTS.md`.
//! `-- --rounds N` sets the number of rounds (5 by default). With `FETCHD_BASELINE=PATH`,
//! another build of the service takes part. The programs in Go, JavaScript and Python are
//! built and installed in `target/compare/`. If a tool is not available, the report says
//! so, and its contenders do not take part.
//!
//! Each contender is a process of its own, so that its CPU time and memory can be
//! measured. The contenders take turns within each round.

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
mod results;
mod setup;
mod tonic_server;
mod worker;
mod workloads;

use std::env;

use tokio::runtime::Runtime;

fn main() {
    rlimit::increase_nofile_limit(u64::MAX)
        .expect("raising the limit of open files to the hard limit is allowed");
    let arguments: Vec<String> = env::args().skip(1).collect();
    let runtime = || Runtime::new().expect("the runtime starts");
    match arguments.first().map(String::as_str) {
        Some("origin") => runtime().block_on(origin::run(&arguments[1..])),
        Some("hyper-util") => job::serve(&runtime(), bare::pooled),
        Some("driven") => job::serve(&runtime(), bare::driven),
        Some("reqwest") => job::serve(&runtime(), bare::reqwest),
        Some("caller") => job::serve(&runtime(), caller::call),
        Some("tonic-server") => runtime().block_on(tonic_server::run()),
        _ => workloads::run_all(&arguments),
    }
}
