//! The server: it accepts HTTP/2 connections, limits the resources that each can take,
//! and drains when it is asked to shut down. Besides batches, it answers health and
//! reflection calls.

mod accept;
mod auxiliary;
mod connection;
mod drain;
mod executor;
mod monitor;
mod registry;
mod shutdown;

use std::{
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{net::TcpListener, time};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic_health::server::HealthReporter;

use crate::{
    admin::Admin,
    config::{Config, ConfigError},
    egress,
    local_address::is_local,
    schedule::Scheduler,
    service::{Admission, Service},
    shares::Quota,
    telemetry::Metrics,
};
use accept::Acceptor;
use auxiliary::Auxiliary;
use registry::Registry;

pub use crate::caller::Peer;
pub use shutdown::Shutdown;

/// A service that can be served on any number of connections. Cheap to clone; all clones
/// share one state.
///
/// # Examples
///
/// Serves on a free port until it is asked to shut down:
///
/// ```
/// use fetchd::{
///     config::Config,
///     server::{Server, Shutdown},
/// };
/// use tokio::net::TcpListener;
///
/// # #[tokio::main]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let server = Server::new(Config::default())?;
/// let listener = TcpListener::bind("127.0.0.1:0").await?;
/// println!("serving at {}", listener.local_addr()?);
///
/// let shutdown = Shutdown::new();
/// let serving = tokio::spawn(server.serve(listener, shutdown.clone()));
///
/// // Open batches have the drain timeout to finish.
/// shutdown.request();
/// serving.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    service: Service,
    auxiliary: Auxiliary,
    registry: Registry,
    /// The auxiliary calls of all connections.
    auxiliary_calls: Quota,
    health: HealthReporter,
    policy: egress::Policy,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    config: Arc<Config>,
    /// The server takes new batches.
    is_ready: Arc<AtomicBool>,
    /// Cancelled when new batches are rejected and connections are asked to close.
    draining: CancellationToken,
    open_batches: TaskTracker,
    open_connections: TaskTracker,
}

impl Server {
    /// Returns a server that does not serve yet.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is out of its range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let user_agent = config.user_agent_header()?;
        let config = Arc::new(config);
        let policy = egress::Policy::new(&config.egress);
        let metrics = Arc::new(Metrics::new());
        let scheduler = Scheduler::new(&config, policy.clone(), Arc::clone(&metrics), user_agent);
        let draining = CancellationToken::new();
        let open_batches = TaskTracker::new();
        let admission = Admission::new(&config.limits, draining.clone(), open_batches.clone());
        let service = Service::new(
            admission,
            scheduler.clone(),
            Arc::clone(&metrics),
            Arc::clone(&config),
        );
        let (auxiliary, health) = Auxiliary::new();
        let connections = config.limits.max_connections as usize;
        Ok(Self {
            service,
            auxiliary,
            registry: Registry::new(connections),
            // Enough for one health watch on each connection.
            auxiliary_calls: Registry::quota(connections),
            health,
            policy,
            scheduler,
            metrics,
            config,
            is_ready: Arc::default(),
            draining,
            open_batches,
            open_connections: TaskTracker::new(),
        })
    }

    /// Returns the admin listener of this server, which answers `/metrics`, `/healthz`
    /// and `/readyz`.
    pub fn admin(&self) -> Admin {
        Admin {
            metrics: Arc::clone(&self.metrics),
            scheduler: self.scheduler.clone(),
            policy: self.policy.clone(),
            is_ready: Arc::clone(&self.is_ready),
        }
    }

    /// Accepts connections until `shutdown` is requested, and then drains.
    ///
    /// A shutdown has three steps:
    ///
    /// 1. For the drain delay, the server is `NOT_SERVING`, but accepts connections and
    ///    batches all the same.
    /// 2. For the drain timeout, connections are asked to close, new batches are
    ///    rejected, and open batches go on.
    /// 3. The unfinished requests end with `REASON_SHUTTING_DOWN`. After 500 ms the
    ///    remaining connections are cut.
    ///
    /// The second and the third step end early if all batches and connections have ended.
    /// A second [`Shutdown::request`] cuts the first and the second step short. Dropping
    /// the future cuts all connections.
    ///
    /// # Errors
    ///
    /// Returns an error if the local address of `listener` cannot be read. The egress
    /// policy must deny that address, so the server does not start without it.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) -> io::Result<()> {
        self.policy.deny_listener(listener.local_addr()?, is_local);
        self.health.set_serving::<Service>().await;
        self.is_ready.store(true, Ordering::Relaxed);
        let mut acceptor = Acceptor::new(self.clone(), listener);
        tokio::select! {
            () = acceptor.run() => {}
            () = shutdown.begun() => {}
        }
        tracing::info!(batches = self.open_batches.len(), "draining");
        self.is_ready.store(false, Ordering::Relaxed);
        self.metrics.draining.set(1);
        self.health.set_not_serving::<Service>().await;
        tokio::select! {
            () = acceptor.run() => {}
            () = time::sleep(self.config.drain_delay) => {}
            () = shutdown.hurried() => {}
        }
        self.drain(acceptor, &shutdown).await;
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut server = f.debug_struct("Server");
        server.field("config", &self.config).finish_non_exhaustive()
    }
}
