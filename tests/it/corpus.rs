//! Raw responses and the expected results. Some are valid, some are faulty but tolerated,
//! and some are rejected.
//!
//! Every response is fetched over a real socket: in one piece, in two pieces, and byte by
//! byte.

mod case;
mod chunked;
mod coding;
mod connection;
mod harness;
mod header_lines;
mod interim;
mod length;
mod limits;
mod no_body;
mod servers;
mod status_line;
mod trailers;
mod transfer;
mod until_close;

use std::collections::BTreeSet;

use crate::support::{Origin, reply, service, within_timeout};

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_its_expected_result() {
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
