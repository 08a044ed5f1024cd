//! The admin listener. It serves a page, `/status.json`, `/metrics`, `/healthz` and
//! `/readyz` over HTTP/1.1, for operators and Kubernetes probes.

mod history;
mod page;
mod readiness;
mod settings;
mod site;
mod status;

use std::{collections::VecDeque, convert::Infallible, fmt, io, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{self, Instant, MissedTickBehavior},
};

use crate::{
    config::Config,
    egress::Policy,
    local_address::is_local,
    schedule::Scheduler,
    telemetry::{self, Metrics},
};
pub(crate) use readiness::{Readiness, Stage};
use site::Site;

/// A server's admin listener. Use [`Server::admin`](crate::server::Server::admin) to get
/// one.
///
/// It answers:
///
/// - `/` with a page for people, which shows what the server is doing,
/// - `/status.json` with the data of that page,
/// - `/metrics` with all metrics, in the Prometheus text format,
/// - `/healthz` with 200 as long as the process is running,
/// - `/readyz` with 200 if the server accepts new batches, or 503 before that and from the
///   start of a shutdown. The text tells whether batches are still accepted, as they are
///   during the drain delay.
#[derive(Clone)]
pub struct Admin {
    pub(crate) metrics: Arc<Metrics>,
    /// Reads the state of the server for [`Metrics::update`].
    pub(crate) sample: Arc<dyn Fn() -> telemetry::Sample + Send + Sync>,
    pub(crate) scheduler: Scheduler,
    pub(crate) policy: Policy,
    pub(crate) readiness: Readiness,
    pub(crate) config: Arc<Config>,
    /// When the server was created.
    pub(crate) started: Instant,
}

/// The maximum number of open connections. If there's one more, we close the oldest.
/// Otherwise, peers that never finish their requests could keep probes from being
/// answered, and the process would be restarted for it.
const MAX_CONNECTIONS: usize = 64;

/// How long a connection may take to send its request. It gets the same time again to
/// read the response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// How long to wait after `accept` fails.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Admin {
    /// Returns all metrics in the Prometheus text format, as `/metrics` does.
    pub fn metrics(&self) -> String {
        self.metrics.update(&(self.sample)());
        self.metrics.text()
    }

    /// Answers requests until the future is dropped.
    ///
    /// From here on, the egress policy denies fetches to the address of `listener`.
    ///
    /// # Errors
    ///
    /// Returns an error if the local address of `listener` can't be read. Otherwise, this
    /// never returns.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        self.policy.deny_listener(listener.local_addr()?, is_local);
        let site = Arc::new(Site::new(self));
        let mut snapshots = time::interval(history::INTERVAL);
        snapshots.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick is right now, and so is the first snapshot.
        snapshots.reset();
        let mut connections = JoinSet::new();
        // Oldest first.
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    match accepted {
                        Ok((tcp, _)) => {
                            open.retain(|connection| !connection.is_finished());
                            if open.len() >= MAX_CONNECTIONS
                                && let Some(oldest) = open.pop_front()
                            {
                                oldest.abort();
                            }
                            open.push_back(connections.spawn(serve_connection(Arc::clone(&site), tcp)));
                        }
                        Err(error) => {
                            tracing::warn!(%error, "accepting an admin connection failed");
                            time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                }
                Some(_) = connections.join_next() => {}
                _ = snapshots.tick() => site.take_snapshot(),
            }
        }
    }
}

async fn serve_connection(site: Arc<Site>, tcp: TcpStream) {
    let service = service_fn(|request| {
        let answer = site.answer(&request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_TIMEOUT)
        // We only answer one request, so that idle peers can't hold on to connections.
        .keep_alive(false)
        .serve_connection(TokioIo::new(tcp), service);
    // If the peer disconnects or is too slow, there's nobody to tell.
    let _ = time::timeout(2 * REQUEST_TIMEOUT, connection).await;
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").finish_non_exhaustive()
    }
}
