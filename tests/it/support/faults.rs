//! A table of faulty requests. They're fetched together with healthy ones in a single
//! batch.

use fetchd::{
    client::{Client, Error, Outcome, Request},
    proto::Reason,
};
use futures_util::StreamExt;

use super::{Origin, reply, within_timeout};

/// A faulty request, and the error it must end with.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) request: Request,
    pub(crate) reason: Reason,
    pub(crate) retryable: bool,
    pub(crate) attempts: u32,
}

/// Returns a row. Its request may be attempted twice. If the error is `retryable`, then
/// it must be.
pub(crate) fn row(
    name: &'static str,
    request: impl Into<Request>,
    reason: Reason,
    retryable: bool,
) -> Row {
    Row {
        name,
        request: request.into().max_attempts(2),
        reason,
        retryable,
        attempts: if retryable { 2 } else { 1 },
    }
}

/// Fetches all rows along with 20 healthy requests in a single batch. Checks that each
/// row ends with its error and that the healthy requests succeed.
pub(crate) async fn check(client: &Client, rows: Vec<Row>) -> Vec<Outcome> {
    let healthy = Origin::new(|_| async { reply("healthy") }).await;
    let mut requests: Vec<_> = rows.iter().map(|row| row.request.clone()).collect();
    requests.extend((0..20).map(|_| Request::get(healthy.url(""))));
    let outcomes = client.fetch(requests).concurrency(100).in_order().collect();
    let mut outcomes: Vec<Outcome> = within_timeout(outcomes).await;
    for outcome in outcomes.drain(rows.len()..) {
        assert!(
            outcome.error.is_none(),
            "a healthy request: {:?}",
            outcome.error
        );
        assert_eq!(outcome.response.unwrap().body, "healthy");
    }
    for (row, outcome) in rows.iter().zip(&outcomes) {
        let error = outcome.error.as_ref();
        let error = error.unwrap_or_else(|| panic!("{}: {:?}", row.name, outcome.response));
        println!("{}: {error}", row.name);
        assert_eq!(error.reason(), Some(row.reason), "{}: {error}", row.name);
        assert_eq!(error.is_retryable(), row.retryable, "{}: {error}", row.name);
        assert_eq!(
            outcome.stats.attempts, row.attempts,
            "{}: {error}",
            row.name
        );
        assert!(matches!(error, Error::Fetch { .. }));
    }
    outcomes
}
