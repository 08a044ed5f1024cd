//! An OpenTelemetry collector: a gRPC server that receives spans.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tonic::{Request, Response, Status, metadata::MetadataMap, service::Routes};

/// How the collector answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Accepts,
    /// Accepts, but keeps nothing.
    Forgets,
    /// Accepts after this time.
    Late(Duration),
    Refuses,
    /// Never answers.
    Silent,
    /// Accepts, but never reads from its first connection.
    DeafAtFirst,
}

/// A running collector. Dropping it stops it.
pub(crate) struct Collector {
    pub(crate) url: String,
    exports: Exports,
    _accepting: AbortOnDropHandle<()>,
}

/// A message, and the headers that it came with.
pub(crate) struct Export {
    pub(crate) metadata: MetadataMap,
    pub(crate) message: ExportTraceServiceRequest,
}

type Exports = Arc<Mutex<Vec<Export>>>;

#[derive(Clone)]
struct Receiver {
    behaviour: Behaviour,
    exports: Exports,
}

impl Collector {
    pub(crate) async fn new() -> Self {
        Self::that(Behaviour::Accepts).await
    }

    /// Starts a collector that behaves like this.
    pub(crate) async fn that(behaviour: Behaviour) -> Self {
        Self::start(behaviour, None).await
    }

    /// Starts a collector at `localhost` that speaks TLS.
    pub(crate) async fn encrypted(acceptor: TlsAcceptor) -> Self {
        Self::start(Behaviour::Accepts, Some(acceptor)).await
    }

    async fn start(behaviour: Behaviour, acceptor: Option<TlsAcceptor>) -> Self {
        let exports = Exports::default();
        let receiver = Receiver {
            behaviour,
            exports: Arc::clone(&exports),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url = match &acceptor {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        // The default limit would do for tests of ours, but not for batches of any size.
        let service = TraceServiceServer::new(receiver).max_decoding_message_size(64 << 20);
        let routes = Routes::new(service).prepare();
        let accepting = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            let _deaf = match behaviour {
                Behaviour::DeafAtFirst => Some(listener.accept().await.unwrap()),
                _ => None,
            };
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let (acceptor, routes) = (acceptor.clone(), routes.clone());
                connections.spawn(async move {
                    match acceptor {
                        Some(acceptor) => {
                            if let Ok(tls) = acceptor.accept(tcp).await {
                                serve(tls, routes).await;
                            }
                        }
                        None => serve(tcp, routes).await,
                    }
                });
            }
        });
        Self {
            url,
            exports,
            _accepting: AbortOnDropHandle::new(accepting),
        }
    }

    /// Returns all spans, in order of arrival.
    pub(crate) fn spans(&self) -> Vec<Span> {
        let exports = self.exports.lock().unwrap();
        let resources = exports
            .iter()
            .flat_map(|export| &export.message.resource_spans);
        let scopes = resources.flat_map(|resource| &resource.scope_spans);
        scopes.flat_map(|scope| scope.spans.clone()).collect()
    }

    /// Waits until there are `count` spans, and returns them. Panics if there are more.
    pub(crate) async fn wait_for(&self, count: usize) -> Vec<Span> {
        super::until(|| self.spans().len() >= count).await;
        let spans = self.spans();
        assert_eq!(spans.len(), count);
        spans
    }

    /// Calls `look` with all messages.
    pub(crate) fn exports<T>(&self, look: impl FnOnce(&[Export]) -> T) -> T {
        look(&self.exports.lock().unwrap())
    }
}

async fn serve<S>(stream: S, routes: Routes)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request| {
        tower::Service::call(&mut routes.clone(), request)
    });
    let http = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        match self.behaviour {
            Behaviour::Accepts | Behaviour::DeafAtFirst => {}
            Behaviour::Forgets => return Ok(Response::new(ExportTraceServiceResponse::default())),
            Behaviour::Late(delay) => tokio::time::sleep(delay).await,
            Behaviour::Refuses => return Err(Status::permission_denied("refused")),
            Behaviour::Silent => std::future::pending().await,
        }
        let (metadata, _, message) = request.into_parts();
        self.exports
            .lock()
            .unwrap()
            .push(Export { metadata, message });
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Returns the attributes, with all values as text.
pub(crate) fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let texts = attributes.iter().map(|attribute| {
        let value = attribute.value.clone().and_then(|value| value.value);
        let text = match value.unwrap() {
            Value::StringValue(text) => text,
            Value::IntValue(number) => number.to_string(),
            Value::DoubleValue(number) => number.to_string(),
            other => format!("{other:?}"),
        };
        (attribute.key.clone(), text)
    });
    let count = attributes.len();
    let texts: BTreeMap<_, _> = texts.collect();
    assert_eq!(texts.len(), count, "an attribute is there twice");
    texts
}

/// Returns the names of a span's events.
pub(crate) fn events(span: &Span) -> Vec<&str> {
    span.events.iter().map(|event| &*event.name).collect()
}

/// Returns the attributes of a span's event.
pub(crate) fn event(span: &Span, name: &str) -> BTreeMap<String, String> {
    let event = span.events.iter().find(|event| event.name == name);
    attributes(&event.unwrap().attributes)
}

/// Returns the span of a batch, and those of its requests by their index.
pub(crate) fn by_request(spans: Vec<Span>) -> (Span, BTreeMap<usize, Span>) {
    let (mut batches, requests): (Vec<_>, Vec<_>) = spans
        .into_iter()
        .partition(|span| span.kind == span::SpanKind::Server as i32);
    let by_index = requests.into_iter().map(|span| {
        let index = &attributes(&span.attributes)["fetchd.request.index"];
        (index.parse().unwrap(), span)
    });
    let by_index = by_index.collect();
    assert_eq!(batches.len(), 1);
    (batches.remove(0), by_index)
}
