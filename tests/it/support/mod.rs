//! Scripted origins, DNS servers, callers and services, shared by all tests. All of them
//! use real sockets.

// None of the test files uses everything in here.
#![allow(dead_code, unused_imports)]

pub(crate) mod caller;
pub(crate) mod cluster;
pub(crate) mod collector;
pub(crate) mod command;
pub(crate) mod deaf;
mod dns;
mod faults;
mod front;
pub(crate) mod http2;
pub(crate) mod metrics;
pub(crate) mod namespace;
mod origin;
pub(crate) mod pki;
mod process;
mod raw;
pub(crate) mod replica;
mod service;
mod tls;
pub(crate) mod unreading;

pub(crate) use dns::{Answer, Dns};
pub(crate) use faults::{Row, check, row};
pub(crate) use front::Front;
pub(crate) use origin::{Origin, Reply, gated_origin, metered_origin, origin_gated_at, reply};
pub(crate) use process::Process;
pub(crate) use raw::{
    RawOrigin, fill_backlog, finish, read_head, reset, short_backlog, short_backlog_at,
};
pub(crate) use service::{
    Service, allow_loopback, raw_client, requests, service, service_at, service_with,
};
pub(crate) use tls::{Authority, Pair, self_signed};

use std::{future::Future, time::Duration};

/// If a test has to wait for longer than this, it fails. This is far longer than it
/// should ever take.
pub(crate) const TEST_TIMEOUT: Duration = Duration::from_secs(30);

/// Waits for `future`. Panics if it takes longer than [`TEST_TIMEOUT`].
pub(crate) async fn within_timeout<F: Future>(future: F) -> F::Output {
    let output = tokio::time::timeout(TEST_TIMEOUT, future).await;
    output.expect("the future completes within the test timeout")
}

/// Polls `is_true` until it returns true. Panics if that takes longer than
/// [`TEST_TIMEOUT`].
pub(crate) async fn until(mut is_true: impl FnMut() -> bool) {
    eventually(async || is_true()).await;
}

/// Like [`until`], but for an async condition.
pub(crate) async fn eventually(mut is_true: impl AsyncFnMut() -> bool) {
    within_timeout(async {
        while !is_true().await {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}
