//! Models a thousand replicas with 100,000 hosts and 500 callers: how evenly the load is spread,
//! how many connections to origins are reused, and what happens if replicas come and go.
//!
//! `cargo run --release --example scale -- --write docs/scale.md` writes the page and its plots.

#![allow(clippy::pedantic, clippy::print_stdout, clippy::disallowed_types)]

mod choice;
mod fleet;
mod growth;
mod hosts;
mod loss;
mod measure;
mod pool;
mod reuse;
mod rollout;
mod scale;
mod spread;
mod traffic;

use std::time::Instant;

fn main() -> Result<(), measure::BoxError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", n] => return measure::serve(n.parse()?),
        ["--measure", path] => return measure::write(path),
        _ => {}
    }
    let t = Instant::now();
    let fleet = scale::fleet(scale::REPLICAS);
    let view = fleet.view();
    println!("{:?}", t.elapsed());
    for s in spread::table(&view) {
        println!(
            "{:?} {:?} {} {:?}",
            s.popularity, s.rule, s.concurrency, s.spread
        );
    }
    println!("{:?}", t.elapsed());
    for c in reuse::curves(&view) {
        println!("{:?} {:?} {:.3?}", c.popularity, c.rule, c.shares);
    }
    println!("{:?}", t.elapsed());
    for l in loss::losses(&fleet) {
        println!("{:?} {:?} {:?}", l.popularity, l.moved, l.extra);
        for i in 20..48 {
            let a = f64::from(i) * 0.5;
            print!(
                "{:.3}/{:.3} ",
                l.record.reuse(a, a + 0.5),
                l.record.watched_reuse(a, a + 0.5)
            );
        }
        println!();
    }
    println!("{:?}", t.elapsed());
    for m in rollout::moves(&fleet) {
        println!("{:?} {} {}", m.step, m.mean, m.at_once);
    }
    println!("{:?}", t.elapsed());
    for r in rollout::runs(&fleet) {
        println!(
            "{:?} {:?} {:?} {:?}",
            r.popularity, r.rule, r.step, r.spreads
        );
        for i in 20..204 {
            let a = f64::from(i) * 0.5;
            print!("{:.3} ", r.record.reuse(a, a + 0.5));
        }
        println!();
    }
    println!("{:?}", t.elapsed());
    for r in growth::growths(&fleet) {
        println!(
            "{:?} {:?} {:?} {:?}",
            r.popularity, r.rule, r.moved, r.spreads
        );
        for i in 20..64 {
            let a = f64::from(i) * 0.5;
            print!("{:.3} ", r.record.reuse(a, a + 0.5));
        }
        println!();
    }
    println!("{:?}", t.elapsed());
    Ok(())
}
