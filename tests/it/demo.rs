//! `fetchd demo`, up to its first row. The rest takes too long for a test; the unit test of
//! the command prints all of it with shorter delays.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use tokio::task::spawn_blocking;

use crate::support::within_timeout;

#[tokio::test(flavor = "multi_thread")]
async fn demo_prints_each_row_as_soon_as_it_is_known() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_fetchd"))
        .arg("demo")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let read = spawn_blocking(move || {
        let first: Vec<_> = lines.by_ref().take(3).map(Result::unwrap).collect();
        (first, lines)
    });
    let (first, _lines) = within_timeout(read).await.unwrap();
    // It's far from done, so there's no need to wait for the rest.
    assert_eq!(child.try_wait().unwrap(), None);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        first[0],
        "each URL takes 1.5s; at most 50 requests are in flight; the demo takes 17 s"
    );
    let fields: Vec<_> = first[2].split_whitespace().collect();
    assert_eq!(fields[..3], ["15", "22.5", "s"]);
    assert!(fields[3].parse::<f64>().unwrap() >= 1.5, "{first:?}");
}
