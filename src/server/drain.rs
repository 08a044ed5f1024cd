//! Shuts a server down without losing batches.

use std::time::Duration;

use tokio::time;

use super::{Server, Shutdown, accept::Acceptor};
use crate::admin::Stage;

/// How long callers may take to read the rest of finished batches.
const READ_GRACE: Duration = Duration::from_secs(5);

/// How long callers may take to read the results of requests that the drain cut short.
const FLUSH_GRACE: Duration = Duration::from_millis(500);

/// The minimum drain time. A caller may be connecting just as the drain begins, so we
/// give it some time to make a call and be told to use another replica.
const MIN_DRAIN: Duration = Duration::from_millis(250);

impl Server {
    /// Drains the server. We ask connections to close, reject new batches, and give open
    /// batches the drain timeout to finish. After that, unfinished requests end with
    /// `REASON_SHUTTING_DOWN`, and we cut the remaining connections.
    pub(super) async fn drain(&self, mut acceptor: Acceptor, shutdown: &Shutdown) {
        self.draining.cancel();
        self.readiness.enter(Stage::Draining);
        self.open_batches.close();
        self.open_connections.close();
        tokio::select! {
            () = self.finished(&mut acceptor) => {}
            () = time::sleep(self.config.drain_timeout) => {}
            () = shutdown.hurried() => {}
        }
        self.scheduler.stop();
        let connections = acceptor.close();
        let flushed = time::timeout(FLUSH_GRACE, self.open_connections.wait()).await;
        if flushed.is_err() {
            let connections = self.open_connections.len();
            tracing::warn!(connections, "cutting connections at the end of the drain");
        }
        drop(connections);
    }

    /// Waits for all batches to end. Then waits a little longer for callers to read the
    /// rest.
    async fn finished(&self, acceptor: &mut Acceptor) {
        let batches = async { tokio::join!(self.open_batches.wait(), time::sleep(MIN_DRAIN)) };
        tokio::select! {
            () = acceptor.run() => {}
            _ = batches => {}
        }
        // We've stopped accepting at this point. Otherwise new connections could keep us
        // from ever finishing.
        let _ = time::timeout(READ_GRACE, self.open_connections.wait()).await;
    }
}
