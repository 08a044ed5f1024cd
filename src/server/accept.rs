//! Accepts connections from callers.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{task::JoinSet, time};

use super::{Server, registry::Registry};
use crate::net::Listener;

/// A server's listener, along with the connections accepted from it. Dropping it cuts the
/// connections.
pub(super) struct Acceptor<L> {
    server: Server,
    /// `None` once it's closed.
    listener: Option<L>,
    connections: JoinSet<()>,
    max_connections: usize,
}

/// How long to wait after `accept` fails. Most likely we've run out of file descriptors,
/// so retrying right away would just fail again.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl<L: Listener> Acceptor<L> {
    /// Creates an acceptor. `server` serves the connections accepted from `listener`.
    pub(super) fn new(server: Server, listener: L) -> Self {
        let permits = server.config.limits.max_connections as usize;
        Self {
            server,
            listener: Some(listener),
            connections: JoinSet::new(),
            max_connections: Registry::max_connections(permits),
        }
    }

    /// Accepts connections, up to the maximum at a time, until the listener is closed.
    /// Cancel-safe.
    pub(super) async fn run(&mut self) {
        while let Some(listener) = &self.listener {
            let has_room = self.connections.len() < self.max_connections;
            tokio::select! {
                accepted = listener.accept(), if has_room => match accepted {
                    Ok((stream, address)) => self.spawn(stream, address),
                    Err(error) => {
                        tracing::warn!(%error, "accepting a connection failed");
                        if lacks_files(&error) {
                            self.server.registry.make_room_for_accept();
                        }
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = self.connections.join_next() => {}
            }
        }
    }

    /// Accepts any connections that are already waiting, then closes the listener. The
    /// connections stay open.
    pub(super) fn close(&mut self) {
        let Some(listener) = self.listener.take() else {
            return;
        };
        for (stream, address) in listener.close() {
            self.spawn(stream, address);
        }
    }

    fn spawn(&mut self, stream: L::Stream, address: SocketAddr) {
        let server = self.server.clone();
        let tracker = server.open_connections.clone();
        let serving = server.serve_accepted(stream, address);
        self.connections.spawn(tracker.track_future(serving));
    }
}

/// Returns true if the process or the system has no file descriptor left.
fn lacks_files(error: &io::Error) -> bool {
    // ENFILE, EMFILE.
    matches!(error.raw_os_error(), Some(23 | 24))
}
