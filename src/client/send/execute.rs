//! Sends a single request in its own call.

use std::sync::Arc;

use super::{
    body::{BodyStream, Parts},
    resend::Resend,
};
use crate::{
    client::{
        Error, FetchStats, Request, Response,
        failure::{Disposition, Failure},
        pending::Pending,
        redact::redacted,
        replicas::{Monitor, Replica, Replicas, SharedOutage, candidates, preferred},
    },
    proto::{FetchBatchRequest, FetchEnd},
};

/// Sends `request` and returns the response once its first part has arrived. If the
/// request gets lost on the way, we send it again (provided that's allowed).
pub(crate) async fn execute(
    replicas: Arc<Replicas>,
    request: Request,
) -> Result<reqwest::Response, Error> {
    let mut pending = Pending::new(0, request.into_message()?);
    let mut monitor = Monitor::new(replicas, SharedOutage::default());
    send(&mut monitor, &mut pending)
        .await
        .map_err(|error| error.for_url(&redacted(&pending.message.url)))
}

async fn send(monitor: &mut Monitor, pending: &mut Pending) -> Result<reqwest::Response, Error> {
    loop {
        let admitted = monitor.admitted().await?;
        let candidates = candidates(&admitted, pending);
        let Some(replica) = preferred(pending.host(), candidates.into_iter()) else {
            continue;
        };
        let failure = match call(replica, pending, monitor.replicas()).await {
            Ok(response) => {
                replica.record_success();
                return Ok(response);
            }
            Err(failure) => failure.at(replica.name()),
        };
        monitor.record_failure(&failure);
        let resend = Resend::after(monitor.replicas(), replica, failure.disposition);
        if !resend.allows(pending) {
            return Err(failure.final_error());
        }
    }
}

/// Makes the call and returns the response once its first part has arrived.
async fn call(
    replica: &Replica,
    pending: &Pending,
    replicas: &Replicas,
) -> Result<reqwest::Response, Failure> {
    let message = FetchBatchRequest {
        requests: vec![pending.message.clone()],
        options: replicas.defaults().options(),
        ..FetchBatchRequest::default()
    };
    let silence_timeout = replicas.silence_timeout();
    let mut parts = Parts::request(replica.service(), message, silence_timeout).await?;
    let first = parts.next().await?;
    let Some(head) = first.head else {
        return Err(match first.end {
            Some(end) => failure(end),
            None => Failure::lost(Error::contract("a part before the head")),
        });
    };
    let response = Response::from_head(head).map_err(Failure::lost)?;
    // If the body is short, we get its end along with the head. Then we know the stats
    // already.
    let stats = first.end.as_ref().map(FetchStats::from_end);
    let body = BodyStream::new(parts, first.body, first.end);
    let mut response = response.with_body(reqwest::Body::wrap_stream(body.into_stream()));
    if let Some(stats) = stats {
        response.extensions_mut().insert(stats);
    }
    Ok(response)
}

/// Converts the end of a request that didn't get a response.
fn failure(end: FetchEnd) -> Failure {
    let Some(error) = end.error.map(Error::from_fetch) else {
        return Failure::lost(Error::contract("an end with neither response nor error"));
    };
    Failure {
        disposition: Disposition::of_end(&error, end.attempts),
        error,
    }
}
