//! Shuts a server down without losing batches.

use std::time::Duration;

use tokio::time;

use super::{Server, Shutdown, accept::Acceptor};
use crate::{admin::Stage, net::Listener};

/// How long callers may take to read the rest of finished batches.
const READ_GRACE: Duration = Duration::from_secs(5);

/// How long callers may take to read the results of requests that the drain cut short.
const FLUSH_GRACE: Duration = Duration::from_millis(500);

/// How long we still accept batches after we've asked connections to close.
///
/// It takes a round trip until a caller knows that the connection is closing. The calls
/// that it makes before that are not its fault, and many clients can't send them again.
const ACCEPT_GRACE: Duration = Duration::from_millis(500);

/// The minimum time for which we reject batches. A caller may be connecting just as the
/// drain begins, so we give it some time to make a call and be told to use another
/// replica.
const MIN_DRAIN: Duration = Duration::from_millis(250);

impl Server {
    /// Drains the server. We ask connections to close, then reject new batches, and give
    /// open batches the drain timeout to finish. After that, unfinished requests end with
    /// `REASON_SHUTTING_DOWN`, and we cut the remaining connections.
    pub(super) async fn drain(&self, mut acceptor: Acceptor<impl Listener>, shutdown: &Shutdown) {
        self.closing.cancel();
        self.readiness.enter(Stage::Draining);
        self.open_batches.close();
        self.open_connections.close();
        tokio::select! {
            () = self.finished(&mut acceptor) => {}
            () = time::sleep(self.config.drain_timeout) => {}
            () = shutdown.hurried() => {}
        }
        self.draining.cancel();
        self.scheduler.stop();
        acceptor.close();
        let flushed = time::timeout(FLUSH_GRACE, self.open_connections.wait()).await;
        if flushed.is_err() {
            let connections = self.open_connections.len();
            tracing::warn!(connections, "cutting connections at the end of the drain");
        }
    }

    /// Waits for all batches to end. Then waits a little longer for callers to read the
    /// rest.
    async fn finished(&self, acceptor: &mut Acceptor<impl Listener>) {
        let batches = async {
            let _ = time::timeout(ACCEPT_GRACE, self.open_connections.wait()).await;
            self.draining.cancel();
            time::sleep(MIN_DRAIN).await;
            self.open_batches.wait().await;
        };
        tokio::select! {
            () = acceptor.run() => {}
            () = batches => {}
        }
        // Otherwise new connections could keep us from ever finishing. And if we left them
        // in the backlog, their callers would wait for us instead of using another replica.
        acceptor.close();
        let _ = time::timeout(READ_GRACE, self.open_connections.wait()).await;
    }
}
