//! What operators and Kubernetes ask: `/metrics`, `/healthz`, `/readyz`, over
//! HTTP/1.1.

use std::{
    convert::Infallible,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};

use crate::{egress::Policy, schedule::Scheduler, server::is_of_this_machine, telemetry::Metrics};

/// The admin listener of a server.
#[derive(Clone)]
pub struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) scheduler: Scheduler,
    pub(crate) policy: Policy,
    /// Whether the server takes new batches.
    pub(crate) is_ready: Arc<AtomicBool>,
}

/// Most connections at once.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may take for a request, and to be done with it.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long to wait after a connection could not be accepted.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Admin {
    /// Answers until it is dropped. The address is one that no fetch may reach.
    pub async fn serve(self, listener: TcpListener) {
        match listener.local_addr() {
            Ok(own) => self.policy.deny_own(own, is_of_this_machine),
            Err(error) => return tracing::error!(%error, "where to listen is not known"),
        }
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < MAX_CONNECTIONS => {
                    match accepted {
                        Ok((tcp, _)) => {
                            connections.spawn(self.clone().serve_connection(tcp));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "an admin connection could not be accepted");
                            time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }

    async fn serve_connection(self, tcp: TcpStream) {
        let service = service_fn(|request| {
            let answer = self.answer(&request);
            async move { Ok::<_, Infallible>(answer) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            // So that one that does not read ends.
            .keep_alive(false)
            .serve_connection(TokioIo::new(tcp), service);
        // Who broke off, or dawdles, has nothing to be told.
        let _ = time::timeout(2 * PATIENCE, connection).await;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(
                StatusCode::METHOD_NOT_ALLOWED,
                "GET and HEAD are accepted\n",
            );
        }
        match request.uri().path() {
            "/metrics" => {
                self.metrics.note_gate(self.scheduler.gate_counts());
                text(StatusCode::OK, self.metrics.text())
            }
            "/healthz" => text(StatusCode::OK, "alive\n"),
            "/readyz" if self.is_ready.load(Ordering::Relaxed) => text(StatusCode::OK, "ready\n"),
            "/readyz" => text(StatusCode::SERVICE_UNAVAILABLE, "takes no new batches\n"),
            _ => text(
                StatusCode::NOT_FOUND,
                "there are /metrics, /healthz and /readyz\n",
            ),
        }
    }
}

fn text(status: StatusCode, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let kind = header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
