//! The gRPC adapter: messages become a batch, parts become messages, and what
//! fails a call as a whole becomes a status. Only here does an error of ours
//! turn into a gRPC code.

mod admission;
mod check;
mod fields;
mod inbound;
mod message;
mod outbound;
mod outbox;
mod report;
mod stall;
mod wire;

use std::{collections::HashMap, net::SocketAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{
    Status,
    body::Body,
    codec::{EncodeBody, SingleMessageCompressionOverride},
    server::NamedService,
};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{Code, caller::Caller, config::Config, schedule::Scheduler, telemetry::Metrics};
pub(crate) use admission::{Admission, full};
use inbound::{InvalidBatch, PER_REQUEST};
use outbound::Responses;
pub(crate) use outbox::Outbox;
use report::Report;
use wire::MessageEncoder;

/// The `FetchService` of the contract.
#[derive(Clone)]
pub(crate) struct Service {
    admission: Admission,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    config: Arc<Config>,
}

/// What the server knows of a call before its message is read.
pub(crate) struct Arrival {
    /// When the headers came.
    pub(crate) at: Instant,
    /// Where they came from. `None`: from within the process.
    pub(crate) peer: Option<SocketAddr>,
    /// Cuts the call.
    pub(crate) cut: CancellationToken,
    /// Of its connection.
    pub(crate) outbox: Outbox,
}

/// The path of the one method.
pub(crate) const FETCH_BATCH: &str = "/fetchd.v1.FetchService/FetchBatch";

impl Service {
    /// A service that lets in what `admission` allows, and whose batches
    /// `scheduler` works.
    pub(crate) fn new(
        admission: Admission,
        scheduler: Scheduler,
        metrics: Arc<Metrics>,
        config: Arc<Config>,
    ) -> Self {
        Self {
            admission,
            scheduler,
            metrics,
            config,
        }
    }

    /// Answers a call of [`FETCH_BATCH`].
    pub(crate) async fn call(
        &self,
        request: Request<Incoming>,
        arrival: Arrival,
    ) -> Response<Body> {
        match self.fetch_batch(request, arrival).await {
            Ok(responses) => {
                let body = EncodeBody::new_server(
                    MessageEncoder,
                    responses,
                    None,
                    SingleMessageCompressionOverride::default(),
                    None,
                );
                let mut response = Response::new(Body::new(body));
                let kind = HeaderValue::from_static("application/grpc");
                response.headers_mut().insert(header::CONTENT_TYPE, kind);
                response
            }
            Err(status) => self.refuse(status),
        }
    }

    /// Refuses a call with `status`.
    pub(crate) fn refuse(&self, status: Status) -> Response<Body> {
        let code = Code::of(&status);
        self.metrics
            .batches
            .with_label_values(&[code.as_str()])
            .inc();
        status.into_http()
    }

    async fn fetch_batch(
        &self,
        request: Request<Incoming>,
        arrival: Arrival,
    ) -> Result<Responses, Status> {
        let (head, body) = request.into_parts();
        let call_timeout = grpc_timeout(&head.headers);
        let trace_id = trace_id(&head.headers);
        drop(head);
        let caller = Caller::at(arrival.peer);
        let admission = self.admission.admit(body, caller, call_timeout);
        let (message, mut admitted) = admission.await?;
        let mut batch = inbound::batch(message, caller, arrival.at, &self.config)
            .await
            .map_err(|invalid| invalid_argument(&invalid))?;
        admitted.grow(PER_REQUEST * batch.requests.count() as usize)?;
        if let Some(timeout) = call_timeout {
            let timeout = timeout.saturating_sub(margin(timeout));
            let deadline = arrival.at.checked_add(timeout);
            batch.deadline = batch.deadline.into_iter().chain(deadline).min();
        }
        let report = Report::new(&batch, arrival.peer, trace_id, Arc::clone(&self.metrics));
        let scheduler = self.scheduler.clone();
        let stall = stall::Limits {
            timeout: self.config.limits.stall_timeout,
            is_wanted: Box::new(move || scheduler.has_other_waiters(caller)),
        };
        let parts = self.scheduler.run(batch);
        let room = outbound::Room::new(admitted, arrival.outbox);
        Ok(Responses::new(parts, report, room, stall, arrival.cut))
    }
}

impl NamedService for Service {
    const NAME: &'static str = "fetchd.v1.FetchService";
}

/// How long before the call's deadline the batch ends, so that the ends of the
/// unfinished requests reach the caller in time.
fn margin(timeout: Duration) -> Duration {
    /// Enough for a message to be made and sent.
    const SHORTEST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(1);

    (timeout / 10).clamp(SHORTEST, LONGEST).min(timeout)
}

/// The deadline of a call, as a length of time from its arrival. tonic applies
/// it only until the response begins.
fn grpc_timeout(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(count * 60 * 60)),
        "M" => Some(Duration::from_secs(count * 60)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// The trace id of a W3C `traceparent`, where the caller sent one.
fn trace_id(headers: &HeaderMap) -> Option<String> {
    let value = headers.get("traceparent")?.to_str().ok()?;
    let id = value.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

fn invalid_argument(invalid: &InvalidBatch) -> Status {
    let details = match invalid {
        InvalidBatch::Field { field, problem } => {
            ErrorDetails::with_bad_request_violation(field, problem)
        }
        InvalidBatch::Malformed(_) => ErrorDetails::new(),
    };
    Status::with_error_details(tonic::Code::InvalidArgument, invalid.to_string(), details)
}

/// Refuses a call because the server is to end.
pub(crate) fn draining() -> Status {
    let details = ErrorDetails::with_error_info("DRAINING", "fetchd", HashMap::new());
    let message = "the server is draining; nothing was dispatched: call another";
    Status::with_error_details(tonic::Code::Unavailable, message, details)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", value.parse().unwrap());
        grpc_timeout(&headers)
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(parsed("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parsed("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(parsed("1500m"), Some(Duration::from_millis(1500)));
        for value in ["", "S", "2", "2x", "-2S", "+2S", "123456789S"] {
            assert_eq!(parsed(value), None, "{value}");
        }
    }

    #[test]
    fn the_margin_is_a_tenth_within_bounds() {
        let margins = [5, 100, 2000, 60_000].map(|ms| margin(Duration::from_millis(ms)));
        let expected = [5, 20, 200, 1000].map(Duration::from_millis);
        assert_eq!(margins, expected);
    }
}
