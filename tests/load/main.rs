//! The service and the client under load.
//!
//! These tests keep all cores busy, and they also measure how long things take. That's
//! why they're in a separate binary.
//!
//! To run a single topic: `cargo test --test load siege::`.

// Keep the tests short, so that it's easy to see the rule behind each of them.
#![allow(
    clippy::pedantic,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod chaos;
mod late_callers;
mod neighbours;
mod overload;
mod rollout;
mod siege;
#[path = "../it/support/mod.rs"]
mod support;
mod tls;
