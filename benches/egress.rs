//! What the egress policy costs: for a literal, from the URI to the decision;
//! for a resolved address, the decision alone.
//!
//! `cargo bench --bench egress`

#![allow(clippy::pedantic, clippy::unwrap_used, missing_docs)]

use std::{hint::black_box, net::SocketAddr};

use criterion::{Criterion, criterion_group, criterion_main};
use fetchd::egress::{Policy, Rules, Target};
use http::Uri;

fn literals(criterion: &mut Criterion) {
    let policy = Policy::new(&Rules::default());
    let mut group = criterion.benchmark_group("literal");
    for (name, uri) in [
        ("public IPv4", "http://93.184.215.14/path"),
        ("private IPv4", "http://10.0.0.1/path"),
        ("public IPv6", "https://[2606:4700::1111]/path"),
        ("mapped IPv4", "http://[::ffff:169.254.169.254]/path"),
    ] {
        let uri = Uri::from_static(uri);
        group.bench_function(name, |bencher| {
            bencher.iter(|| policy.judge_target(&Target::of(black_box(&uri))));
        });
    }
}

fn addresses(criterion: &mut Criterion) {
    let mut busy = Rules::default();
    for octet in 0..50 {
        busy.allow_net
            .push(format!("10.{octet}.0.0/16").parse().unwrap());
        busy.deny_net
            .push(format!("172.16.{octet}.0/24").parse().unwrap());
    }
    let mut group = criterion.benchmark_group("address");
    for (policy, lists) in [(&Rules::default(), "no lists"), (&busy, "lists of 50")] {
        let policy = Policy::new(policy);
        policy.deny_own("10.0.0.5:50051".parse().unwrap(), |_| false);
        for address in ["93.184.215.14:80", "[2606:4700::1111]:443"] {
            let address: SocketAddr = address.parse().unwrap();
            group.bench_function(format!("{address}, {lists}"), |bencher| {
                bencher.iter(|| policy.judge(black_box(address)));
            });
        }
    }
}

criterion_group!(benches, literals, addresses);
criterion_main!(benches);
