//! The drain: how a server ends without losing batches.

use std::time::Duration;

use tokio::time;

use super::{Server, Shutdown, accept::Acceptor};

/// How long callers have to read the rest of batches that are done.
const READ_GRACE: Duration = Duration::from_secs(5);

/// How long callers have to read the ends of the requests that the drain cut short.
const FLUSH_GRACE: Duration = Duration::from_millis(500);

/// The shortest drain: callers that are connecting when it begins have this long to make
/// a call and to be told to call another replica.
const MIN_DRAIN: Duration = Duration::from_millis(250);

impl Server {
    /// Drains: connections are asked to close, new batches are rejected, and open
    /// batches have the drain timeout to finish. Unfinished requests then end with
    /// `REASON_SHUTTING_DOWN`, and the remaining connections are cut.
    pub(super) async fn drain(&self, mut acceptor: Acceptor, shutdown: &Shutdown) {
        self.draining.cancel();
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

    /// Waits until all batches have ended and, for a short time, until their callers
    /// have read the rest.
    async fn finished(&self, acceptor: &mut Acceptor) {
        let batches = async { tokio::join!(self.open_batches.wait(), time::sleep(MIN_DRAIN)) };
        tokio::select! {
            () = acceptor.run() => {}
            _ = batches => {}
        }
        // From here on no connection is accepted: otherwise new ones could keep the
        // server from ending.
        let _ = time::timeout(READ_GRACE, self.open_connections.wait()).await;
    }
}
