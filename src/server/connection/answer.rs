//! Answers the calls on a connection.

use std::{sync::Arc, time::Duration};

use http::{Request, Response};
use hyper::body::Incoming;
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body};

use super::Connection;
use crate::{
    caller::Identity,
    server::registry::OpenBatch,
    service::{
        CallContext, CallHeaders, FETCH_BATCH,
        status::{self, Limit},
    },
};

enum Kind {
    Batch {
        identity: Identity,
        headers: CallHeaders,
        body: Incoming,
        batch: Arc<OpenBatch>,
        cut: CancellationToken,
    },
    /// A health or reflection call.
    Auxiliary(Request<Incoming>),
    Rejected(Status),
}

/// The paths of health checks, which need no token.
const HEALTH: &str = "/grpc.health.v1.Health/";

/// How long a batch waits for a connection permit. If it doesn't get one, it's rejected
/// with `RESOURCE_EXHAUSTED`.
const PERMIT_TIMEOUT: Duration = Duration::from_secs(20);

impl Connection {
    /// Answers a call.
    ///
    /// Note that this classifies the call right away instead of in the returned future.
    /// hyper passes that future to the executor immediately, and the executor needs to
    /// know the kind of call by then.
    pub(super) fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send {
        let arrival = Instant::now();
        self.called.cancel();
        let kind = self.classify(request);
        async move {
            match kind {
                Kind::Batch {
                    identity,
                    headers,
                    body,
                    batch,
                    cut,
                } => {
                    let context = CallContext::new(
                        arrival,
                        self.peer,
                        identity,
                        headers,
                        cut,
                        self.outbox.clone(),
                    );
                    self.answer_batch(context, body, &batch).await
                }
                Kind::Auxiliary(request) => self.auxiliary.call(request).await,
                Kind::Rejected(status) => status.into_http(),
            }
        }
    }

    /// Classifies a call. For most calls, this drops the headers: they can take a lot of
    /// memory, and it may be a while before the call's task runs.
    fn classify(&self, request: Request<Incoming>) -> Kind {
        let path = request.uri().path();
        let is_batch = path == FETCH_BATCH;
        let is_open = path.starts_with(HEALTH);
        let identified = self
            .authentication
            .identify(request.headers(), &self.identity);
        match identified {
            Ok(identity) if is_batch => {
                let batch = Arc::new(self.registration.begin_batch());
                let cut = self.executor.next_is_batch(Arc::clone(&batch));
                Kind::Batch {
                    identity,
                    headers: CallHeaders::read(request.headers()),
                    body: request.into_body(),
                    batch,
                    cut,
                }
            }
            // It has to be told that it's not let in, whatever limit it has reached: with a limit
            // as the reason, it would try again.
            Err(status) if !is_open => {
                self.executor.next_is_auxiliary();
                if is_batch {
                    self.service.count_rejected(&status);
                }
                Kind::Rejected(status)
            }
            // If the caller isn't reading, more answers would just pile up.
            _ if !self.executor.next_is_auxiliary() || self.monitor.is_blocked() => {
                Kind::Rejected(status::server_full(Limit::AuxiliaryCalls))
            }
            _ => Kind::Auxiliary(request),
        }
    }

    async fn answer_batch(
        &self,
        context: CallContext,
        body: Incoming,
        batch: &OpenBatch,
    ) -> Response<Body> {
        let call = self.service.begin(context);
        match self.permit(batch).await {
            Ok(()) => call.answer(body).await,
            Err(status) => call.reject(status),
        }
    }

    /// Waits for the connection to get a permit to run batches.
    async fn permit(&self, batch: &OpenBatch) -> Result<(), Status> {
        if self.is_late {
            return Err(status::draining());
        }
        let has_permit = tokio::select! {
            biased;
            () = self.draining.cancelled() => return Err(status::draining()),
            () = self.registration.evicted() => false,
            permit = time::timeout(PERMIT_TIMEOUT, batch.permit()) => permit.unwrap_or(false),
        };
        if has_permit {
            Ok(())
        } else {
            Err(status::server_full(Limit::Connections))
        }
    }
}
