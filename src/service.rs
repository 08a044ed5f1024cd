//! The gRPC side of fetchd. It turns messages into batches, parts into messages, and call
//! errors into statuses. All statuses are made in [`status`].

mod admission;
mod authentication;
mod batch;
mod batch_message;
mod check;
mod context;
mod convert;
mod encoder;
mod field;
mod fields;
mod message;
mod options;
mod outbox;
mod report;
mod response_stream;
mod stall;
pub(crate) mod status;
mod tokens;

use std::sync::Arc;

use http::{HeaderValue, Response, header};
use hyper::body::Incoming;
use tonic::{
    Status,
    body::Body,
    codec::{EncodeBody, SingleMessageCompressionOverride},
    server::NamedService,
};

use crate::{
    Code,
    caller::Caller,
    config::Config,
    request::Batch,
    schedule::Scheduler,
    telemetry::{Metrics, Tracer},
};
pub(crate) use admission::Admission;
use admission::Permit;
pub(crate) use authentication::Authentication;
#[cfg(feature = "internals")]
#[allow(unreachable_pub)]
pub use batch::property as batch_property;
use batch_message::PER_REQUEST;
pub(crate) use context::{CallContext, CallHeaders};
use encoder::MessageEncoder;
pub(crate) use outbox::Outbox;
use outbox::ResponsePermit;
use report::Report;
use response_stream::ResponseStream;
use stall::Watchdog;

/// Implements the `FetchService` of our gRPC API.
///
/// Clones share the same state.
#[derive(Clone)]
pub(crate) struct Service {
    admission: Admission,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    /// `None` if nothing is traced.
    tracer: Option<Tracer>,
    config: Arc<Config>,
}

/// A call to [`FETCH_BATCH`]. When its response ends, or when it's dropped, it's counted
/// under the code it ended with.
pub(crate) struct Call<'a> {
    service: &'a Service,
    context: CallContext,
    report: Report,
}

/// The path of the service's only method.
pub(crate) const FETCH_BATCH: &str = "/fetchd.v1.FetchService/FetchBatch";

impl Service {
    /// Creates a service that runs batches on `scheduler`, once `admission` has let them
    /// in.
    pub(crate) fn new(
        admission: Admission,
        scheduler: Scheduler,
        metrics: Arc<Metrics>,
        tracer: Option<Tracer>,
        config: Arc<Config>,
    ) -> Self {
        Self {
            admission,
            scheduler,
            metrics,
            tracer,
            config,
        }
    }

    /// Begins a call as soon as its headers have arrived.
    pub(crate) fn begin(&self, context: CallContext) -> Call<'_> {
        let trace = context.start_trace(self.tracer.as_ref());
        Call {
            service: self,
            report: Report::new(&context, trace, Arc::clone(&self.metrics)),
            context,
        }
    }

    /// Counts a call that was rejected before it could begin.
    pub(crate) fn count_rejected(&self, status: &Status) {
        let code = Code::of(status).as_str();
        self.metrics.batches.inc(code);
    }

    /// Returns how many batches have room that others can't have.
    pub(crate) fn open_batches(&self) -> usize {
        self.admission.open_batches()
    }

    /// Returns how many bytes of request messages are held.
    pub(crate) fn queued_bytes(&self) -> usize {
        self.admission.queued_bytes()
    }

    fn stall_limits(&self, caller: Caller) -> stall::Limits {
        let scheduler = self.scheduler.clone();
        stall::Limits {
            timeout: self.config.limits.stall_timeout,
            is_wanted: Box::new(move || scheduler.has_other_waiters(caller)),
        }
    }
}

impl NamedService for Service {
    const NAME: &'static str = "fetchd.v1.FetchService";
}

impl Call<'_> {
    /// Ends the call with an error, before it has started a batch.
    pub(crate) fn reject(mut self, status: Status) -> Response<Body> {
        self.report.end(Code::of(&status));
        status.into_http()
    }

    /// Receives the call's message from `body` and starts the batch.
    pub(crate) async fn answer(mut self, body: Incoming) -> Response<Body> {
        let (batch, permit) = match self.receive(body).await {
            Ok(received) => received,
            Err(status) => return self.reject(status),
        };
        self.report.begin(batch.requests.count());
        let parts = self.service.scheduler.run(batch, self.report.trace());
        let limits = self.service.stall_limits(self.context.caller());
        let watchdog = Watchdog::start(parts.abort_handle(), limits, self.context.cut);
        let permit = ResponsePermit::new(permit, self.context.outbox);
        streaming(ResponseStream::new(parts, self.report, permit, watchdog))
    }

    async fn receive(&self, body: Incoming) -> Result<(Batch, Permit), Status> {
        let Service {
            admission, config, ..
        } = self.service;
        let admitting = admission.admit(body, self.context.caller(), self.context.deadline());
        let (message, mut permit) = admitting.await?;
        let batch = batch::read(message, &self.context, config)
            .await
            .map_err(|invalid| status::invalid_argument(&invalid))?;
        permit.grow(PER_REQUEST * batch.requests.count() as usize)?;
        Ok((batch, permit))
    }
}

fn streaming(messages: ResponseStream) -> Response<Body> {
    let body = EncodeBody::new_server(
        MessageEncoder,
        messages,
        None,
        SingleMessageCompressionOverride::default(),
        None,
    );
    let mut response = Response::new(Body::new(body));
    let content_type = HeaderValue::from_static("application/grpc");
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    response
}
