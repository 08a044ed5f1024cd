//! What the tests share: origins that they script, and services over real
//! sockets.

// Each test file uses some of it.
#![allow(dead_code, unused_imports)]

pub(crate) mod caller;
mod dns;
mod faults;
pub(crate) mod http2;
pub(crate) mod metrics;
pub(crate) mod namespace;
mod origin;
mod process;
mod raw;
pub(crate) mod replica;
mod service;
mod tls;
pub(crate) mod unreading;

pub(crate) use dns::{Answer, Dns};
pub(crate) use faults::{Row, check, row};
pub(crate) use origin::{Origin, Reply, held, reply};
pub(crate) use process::Process;
pub(crate) use raw::{RawOrigin, fill, finish, request, reset, short_backlog, short_backlog_at};
pub(crate) use service::{
    Service, allow_loopback, raw_client, requests, service, service_at, service_with,
};
pub(crate) use tls::{Authority, self_signed};

use std::{future::Future, time::Duration};

/// How long any wait of a test may take before it counts as failed. Nothing
/// that works takes nearly as long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for `future` with patience.
pub(crate) async fn patiently<F: Future>(future: F) -> F::Output {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.expect("what the test waits for comes within its patience")
}

/// Waits with patience until `is_true`.
pub(crate) async fn until(mut is_true: impl FnMut() -> bool) {
    eventually(async || is_true()).await;
}

/// Polls until `is_true` returns true. Fails the test after [`PATIENCE`].
pub(crate) async fn eventually(mut is_true: impl AsyncFnMut() -> bool) {
    patiently(async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
