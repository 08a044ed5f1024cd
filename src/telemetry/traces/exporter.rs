//! Sends ended spans to the collector.

use std::{io, sync::Arc, thread, time::Duration};

use opentelemetry::KeyValue;
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig, WithTonicConfig,
    tonic_types::{metadata::MetadataMap, transport::ClientTlsConfig},
};
use opentelemetry_sdk::{Resource, resource::TelemetryResourceDetector, trace::SpanExporter as _};
use tokio::{
    runtime::{self, Runtime},
    sync::{mpsc, oneshot},
    time,
};
use tokio_util::sync::CancellationToken;

use super::queue::{EndedSpan, Queue};
use crate::{causes::with_causes, config::Traces};

/// Exports what's in the queue, one batch at a time.
struct Exporter {
    queue: Arc<Queue>,
    traces: Traces,
    otlp: SpanExporter,
    /// Whether the last batch got lost.
    is_failing: bool,
}

/// Asks the exporter to export everything. It answers once there are no more spans.
pub(super) type Flush = oneshot::Sender<()>;

/// During a flush, open spans that end are exported this often.
const FLUSH_INTERVAL: Duration = Duration::from_millis(10);

/// Starts the exporter for `queue`. It runs until `stop` is cancelled.
///
/// It has a thread of its own. Encoding a batch takes milliseconds, during which a thread
/// of the server's runtime couldn't run any fetches.
pub(super) fn start(
    traces: &Traces,
    queue: Arc<Queue>,
    requests: mpsc::Receiver<Flush>,
    stop: CancellationToken,
) -> io::Result<()> {
    let traces = traces.clone();
    let (report, started) = std::sync::mpsc::channel();
    let run = move || match Exporter::new(&traces, queue) {
        Ok((runtime, exporter)) => {
            let _ = report.send(Ok(()));
            let running = stop.run_until_cancelled(exporter.run(requests));
            let _ = runtime.block_on(running);
        }
        Err(error) => {
            let _ = report.send(Err(error));
        }
    };
    let name = "fetchd-traces".to_owned();
    thread::Builder::new().name(name).spawn(run)?;
    let panicked = |_| Err(io::Error::other("the exporter panicked"));
    started.recv().unwrap_or_else(panicked)
}

fn otlp(traces: &Traces) -> io::Result<SpanExporter> {
    let mut builder = SpanExporter::builder()
        .with_tonic()
        .with_endpoint(traces.endpoint.as_str())
        .with_timeout(traces.timeout)
        .with_metadata(MetadataMap::from_headers(traces.headers.clone()));
    // This reads the roots, and fails if there are none. Only do it if they're needed.
    if traces.endpoint.is_https() {
        builder = builder.with_tls_config(ClientTlsConfig::new().with_native_roots());
    }
    let built = builder.build();
    let mut otlp = built.map_err(|error| io::Error::other(with_causes(&error)))?;
    let attributes = traces.resource.iter();
    let attributes =
        attributes.map(|(name, value)| KeyValue::new(name.to_owned(), value.to_owned()));
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_attributes(attributes)
        .build();
    otlp.set_resource(&resource);
    Ok(otlp)
}

impl Exporter {
    /// Creates an exporter, and the runtime that it has to run on.
    fn new(traces: &Traces, queue: Arc<Queue>) -> io::Result<(Runtime, Self)> {
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let otlp = {
            // The channel takes the runtime from its context.
            let _context = runtime.enter();
            otlp(traces)?
        };
        let exporter = Self {
            queue,
            traces: traces.clone(),
            otlp,
            is_failing: false,
        };
        Ok((runtime, exporter))
    }

    /// Exports batches as they fill up, and whatever there is after each delay.
    async fn run(mut self, mut requests: mpsc::Receiver<Flush>) {
        loop {
            let queue = Arc::clone(&self.queue);
            tokio::select! {
                Some(flush) = requests.recv() => {
                    self.flush().await;
                    // If nobody waits for it any more, that's fine too.
                    let _ = flush.send(());
                }
                () = queue.full() => self.export_all(queue.batch()).await,
                () = time::sleep(self.traces.schedule_delay) => self.export_all(1).await,
            }
        }
    }

    /// Exports batches until fewer than `least` ended spans are left.
    async fn export_all(&mut self, least: usize) {
        while let Some(batch) = self.queue.take(least) {
            self.export(batch).await;
        }
    }

    /// Exports everything, including the spans that are still open when they end.
    async fn flush(&mut self) {
        let queue = Arc::clone(&self.queue);
        let mut empty = std::pin::pin!(queue.empty());
        loop {
            self.export_all(1).await;
            if time::timeout(FLUSH_INTERVAL, empty.as_mut()).await.is_ok() {
                return;
            }
        }
    }

    /// Uses a new connection from now on. The node of the collector may be gone, and then
    /// nothing closes the old one for a quarter of an hour.
    fn reconnect(&mut self) {
        // It was possible at the start. If it isn't now, the old one may still recover.
        if let Ok(otlp) = otlp(&self.traces) {
            self.otlp = otlp;
        }
    }

    /// Exports a batch. If that fails, its spans are dropped.
    async fn export(&mut self, batch: Vec<EndedSpan>) {
        let count = batch.len();
        // They keep their places until the collector has them.
        let (spans, _places): (Vec<_>, Vec<_>) = batch.into_iter().map(EndedSpan::split).unzip();
        let timeout = self.traces.timeout;
        let exported = time::timeout(timeout, self.otlp.export(spans)).await;
        let error = match exported {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some(format!("no answer within {timeout:?}")),
        };
        if error.is_some() {
            self.queue.count_dropped(count);
            self.reconnect();
        }
        // Once for each outage. The counter tells how many spans it cost.
        match (
            &error,
            std::mem::replace(&mut self.is_failing, error.is_some()),
        ) {
            (Some(error), false) => {
                tracing::warn!(
                    error,
                    "the collector does not accept spans: they are dropped"
                );
            }
            (None, true) => tracing::info!("the collector accepts spans again"),
            _ => {}
        }
    }
}
