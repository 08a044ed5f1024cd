//! Models a thousand replicas with 100,000 hosts and 500 callers: how evenly the load is spread,
//! how many connections to origins are reused, and what happens if replicas come and go.
//!
//! - `cargo run --release --example scale` prints the page. It takes 100 s of CPU, on all cores.
//! - `… -- --write docs/scale.md` writes it, and its plots into `docs/images`. Each run gives the
//!   same page.
//! - `… -- --measure examples/scale/measured.txt` measures a real service and caller on this
//!   machine, and writes the figures that the page has besides those of the model.

#![allow(clippy::pedantic, clippy::print_stdout)]

mod choice;
mod figures;
mod fleet;
mod growth;
mod hosts;
mod loss;
mod measure;
mod page;
mod paper;
#[path = "../plot/mod.rs"]
mod plot;
mod pool;
mod reuse;
mod rollout;
mod run;
mod scale;
mod spread;
mod traffic;

use std::{env, fs, path::Path};

use measure::BoxError;
use run::Run;

/// The figures that `--measure` has written.
const MEASURED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/scale/measured.txt");

fn main() -> Result<(), BoxError> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => print!("{}", page::render(&Run::new(), MEASURED)?),
        ["--write", path] => {
            let run = Run::new();
            fs::write(path, page::render(&run, MEASURED)?)?;
            let folder = Path::new(path).parent().unwrap_or(Path::new(""));
            figures::write(&run, &folder.join("images"))?;
        }
        ["--measure", path] => measure::write(path)?,
        // The service that `--measure` starts.
        ["serve", replicas] => measure::serve(replicas.parse()?)?,
        _ => return Err("expected no arguments, --write PAGE.md or --measure FILE".into()),
    }
    Ok(())
}
