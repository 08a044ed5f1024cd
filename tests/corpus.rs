//! Raw responses with their expected results: valid responses, faulty ones that are
//! tolerated, and ones that are rejected. Each is fetched through real sockets, in one
//! piece, in two pieces and byte by byte.

// Tests say what must be, in the fewest words.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::disallowed_types,
    clippy::print_stdout
)]

#[path = "corpus/case.rs"]
mod case;
#[path = "corpus/chunked.rs"]
mod chunked;
#[path = "corpus/coding.rs"]
mod coding;
#[path = "corpus/connection.rs"]
mod connection;
#[path = "corpus/harness.rs"]
mod harness;
#[path = "corpus/header_lines.rs"]
mod header_lines;
#[path = "corpus/interim.rs"]
mod interim;
#[path = "corpus/length.rs"]
mod length;
#[path = "corpus/limits.rs"]
mod limits;
#[path = "corpus/no_body.rs"]
mod no_body;
#[path = "corpus/servers.rs"]
mod servers;
#[path = "corpus/status_line.rs"]
mod status_line;
mod support;
#[path = "corpus/trailers.rs"]
mod trailers;
#[path = "corpus/transfer.rs"]
mod transfer;
#[path = "corpus/until_close.rs"]
mod until_close;

use std::collections::BTreeSet;

use support::{Origin, reply, service, within_timeout};

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_the_expected_result() {
    let tables = [
        ("status_line", status_line::cases()),
        ("interim", interim::cases()),
        ("header_lines", header_lines::cases()),
        ("limits", limits::cases()),
        ("no_body", no_body::cases()),
        ("length", length::cases()),
        ("transfer", transfer::cases()),
        ("chunked", chunked::cases()),
        ("trailers", trailers::cases()),
        ("until_close", until_close::cases()),
        ("connection", connection::cases()),
        ("coding", coding::cases()),
        ("servers", servers::cases()),
    ];
    let service = service().await;
    let mut total = 0;
    let mut mismatches = Vec::new();
    for (number, (table, cases)) in (1..).zip(&tables) {
        let names: BTreeSet<_> = cases.iter().map(|case| &case.name).collect();
        assert_eq!(names.len(), cases.len(), "{table}: duplicate case name");
        total += cases.len();
        mismatches.extend(harness::run(&service, table, number, cases).await);
    }

    let healthy = Origin::new(|_| async { reply("healthy") }).await;
    let client = service.client().await;
    let healthy = within_timeout(client.fetch_all([healthy.url("")]))
        .await
        .remove(0);
    assert_eq!(
        within_timeout(healthy.unwrap().text()).await.unwrap(),
        "healthy"
    );

    for mismatch in &mismatches {
        println!("{mismatch}");
    }
    let count = mismatches.len();
    println!("{total} cases, {count} mismatches");
    assert!(total >= 300, "the corpus has {total} cases");
    assert!(count == 0, "{count} mismatches, listed above");
}
