//! The rules of the service, the client and the command line, each through real
//! sockets. One module a topic.
//!
//! `cargo test --test it deadline::` runs one topic.

// Tests state the rules in as few words as possible.
#![allow(
    clippy::pedantic,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod batch;
mod bodies;
mod cli;
mod connections;
mod corpus;
mod deadline;
mod drain;
mod egress;
mod faults_answering;
mod faults_connecting;
mod hostile;
mod messages;
mod operator;
mod options;
mod planted;
mod probes;
mod replicas;
mod reqwest;
mod responses;
mod reuse;
mod scarcity;
mod secrets;
mod streaming;
mod support;
mod uploads;
