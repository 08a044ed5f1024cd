//! Tests of the service, the client and the command line. All of them use real sockets,
//! and there's one module per topic.
//!
//! To run a single topic: `cargo test --test it deadline::`.

// Keep the tests short, so that it's easy to see the rule behind each of them.
#![allow(
    clippy::pedantic,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod admin;
mod batch;
mod bodies;
mod caller_tls;
mod cli;
mod client_tls;
mod client_tokens;
mod connections;
mod corpus;
mod credentials;
mod deadline;
mod defaults;
mod demo;
mod drain;
mod egress;
mod faults_answering;
mod faults_connecting;
mod floods;
mod get;
mod get_bodies;
mod get_ends;
mod get_failures;
mod get_outage;
mod get_progress;
mod get_report;
mod get_results;
mod health;
mod hostile;
mod logging;
mod messages;
mod metrics;
mod name_servers;
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
mod serve;
mod streaming;
mod support;
mod tokens;
mod traces;
mod uploads;
