//! The service and the client under load. These tests keep all cores busy and
//! assert on times, so they have a binary of their own.
//!
//! `cargo test --test load siege::` runs one topic.

// Tests state the rules in as few words as possible.
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
mod siege;
#[path = "../it/support/mod.rs"]
mod support;
