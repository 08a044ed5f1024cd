//! Models a thousand replicas with 100,000 hosts and 500 callers: how evenly the load is spread,
//! how many connections to origins are reused, and what happens if replicas come and go.
//!
//! `cargo run --release --example scale -- --write docs/scale.md` writes the page and its plots.

#![allow(clippy::pedantic, clippy::print_stdout)]

mod choice;
mod fleet;
mod hosts;
mod spread;

use std::sync::Arc;

use choice::Rule;
use fleet::Fleet;
use hosts::{Hosts, Popularity};

const REPLICAS: u16 = 1000;
const HOSTS: u32 = 100_000;
const CALLERS: usize = 500;

fn main() {
    for popularity in Popularity::ALL {
        let hosts = Arc::new(Hosts::new(HOSTS, popularity));
        let view = Fleet::new(Arc::clone(&hosts), REPLICAS).view();
        for rule in Rule::ALL {
            for concurrency in [50, 512, 4096] {
                let spread = spread::run(rule, CALLERS, concurrency, &view, &hosts);
                let bound = spread::bound(concurrency, REPLICAS.into());
                println!("{popularity:?} {rule:?} {concurrency}: {spread:?}, at most {bound:.1}");
            }
        }
    }
}
