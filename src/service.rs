//! The gRPC adapter: messages become a batch, parts become messages, and what
//! fails a call as a whole becomes a status. Only here does an error of ours
//! turn into a gRPC code.

mod admission;
mod inbound;
mod outbound;
mod report;
mod stall;
mod tally;
mod wire;

use std::{
    collections::HashMap,
    convert::Infallible,
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use hyper::body::Body;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Request, Response, Status,
    codegen::BoxFuture,
    metadata::MetadataMap,
    server::{Grpc, NamedService, ServerStreamingService},
};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{config::Config, proto::FetchBatchRequest, schedule::Scheduler, telemetry::Metrics};
pub(crate) use admission::Admission;
use admission::Admitted;
use inbound::InvalidBatch;
use outbound::Responses;
use report::Report;
use wire::{BatchCodec, Message};

/// The `FetchService` of the contract.
#[derive(Clone)]
pub(crate) struct Service {
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    config: Arc<Config>,
}

/// What the server knows of a call before its message is read.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// When the headers came.
    pub(crate) at: Instant,
    /// Where they came from. `None`: from within the process.
    pub(crate) peer: Option<SocketAddr>,
    /// Cuts the call.
    pub(crate) cut: CancellationToken,
}

/// The path of the one method.
pub(crate) const FETCH_BATCH: &str = "/fetchd.v1.FetchService/FetchBatch";

impl Service {
    /// A service whose batches `scheduler` works.
    pub(crate) fn new(scheduler: Scheduler, metrics: Arc<Metrics>, config: Arc<Config>) -> Self {
        Self {
            scheduler,
            metrics,
            config,
        }
    }
}

impl Service {
    fn fetch_batch(
        &self,
        mut request: Request<FetchBatchRequest>,
    ) -> Result<Response<Responses>, Status> {
        let arrival = request.extensions_mut().remove::<Arrival>();
        let arrival = arrival.unwrap_or_else(Arrival::now);
        let admitted = request.extensions_mut().remove::<Arc<Admitted>>();
        let call_timeout = grpc_timeout(request.metadata().as_ref());
        let trace_id = trace_id(request.metadata());
        let message = request.into_inner();
        let mut batch = inbound::batch(message, arrival.at, &self.config)
            .map_err(|invalid| invalid_argument(&invalid))?;
        if let Some(timeout) = call_timeout {
            let timeout = timeout.saturating_sub(margin(timeout));
            let deadline = arrival.at.checked_add(timeout);
            batch.deadline = batch.deadline.into_iter().chain(deadline).min();
        }
        let report = Report::new(&batch, arrival.peer, trace_id, Arc::clone(&self.metrics));
        let parts = self.scheduler.run(batch);
        let stall_timeout = self.config.limits.stall_timeout;
        let responses = Responses::new(parts, report, admitted, stall_timeout, arrival.cut);
        Ok(Response::new(responses))
    }
}

/// The one method, by tonic, with a codec of our own.
impl ServerStreamingService<FetchBatchRequest> for Service {
    type Response = Message;
    type ResponseStream = Responses;
    type Future = std::future::Ready<Result<Response<Responses>, Status>>;

    fn call(&mut self, request: Request<FetchBatchRequest>) -> Self::Future {
        std::future::ready(self.fetch_batch(request))
    }
}

impl<B> tower::Service<http::Request<B>> for Service
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send + 'static,
{
    type Response = http::Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let service = self.clone();
        Box::pin(async move {
            if request.uri().path() != FETCH_BATCH {
                return Ok(Status::unimplemented("there is FetchBatch").into_http());
            }
            let most = service.config.limits.max_request_bytes;
            let mut grpc = Grpc::new(BatchCodec).max_decoding_message_size(most);
            Ok(grpc.server_streaming(service, request).await)
        })
    }
}

impl NamedService for Service {
    const NAME: &'static str = "fetchd.v1.FetchService";
}

impl Arrival {
    fn now() -> Self {
        Self {
            at: Instant::now(),
            peer: None,
            cut: CancellationToken::new(),
        }
    }
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
fn trace_id(metadata: &MetadataMap) -> Option<String> {
    let value = metadata.get("traceparent")?.to_str().ok()?;
    let id = value.split('-').nth(1)?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// The name of a gRPC code, by its number in a header.
pub(crate) fn code_name(status: &HeaderValue) -> &'static str {
    match Code::from_bytes(status.as_bytes()) {
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::Unavailable => "UNAVAILABLE",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Cancelled => "CANCELLED",
        Code::Internal => "INTERNAL",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Unauthenticated => "UNAUTHENTICATED",
        _ => "UNKNOWN",
    }
}

fn invalid_argument(invalid: &InvalidBatch) -> Status {
    let details = ErrorDetails::with_bad_request_violation(&invalid.field, &invalid.problem);
    Status::with_error_details(Code::InvalidArgument, invalid.to_string(), details)
}

fn draining() -> Status {
    let details = ErrorDetails::with_error_info("DRAINING", "fetchd", HashMap::new());
    let message = "the server is draining; nothing was dispatched: call another";
    Status::with_error_details(Code::Unavailable, message, details)
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
