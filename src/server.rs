//! The server. It accepts HTTP/2 connections, limits how much each of them can use, and
//! drains when asked to shut down. Apart from batches, it also answers health and
//! reflection calls.

mod accept;
mod auxiliary;
mod backlog;
mod connection;
mod drain;
mod executor;
mod monitor;
mod registry;
mod shutdown;
mod tls;

use std::{convert::Infallible, fmt, io, sync::Arc, time::Duration};

use futures_util::future::OptionFuture;
use tokio::time::{self, Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic_health::server::HealthReporter;

use crate::{
    admin::{Admin, Readiness, Stage},
    config::{Config, ConfigError},
    egress,
    local_address::is_local,
    net::Listener,
    schedule::Scheduler,
    service::{Admission, Authentication, Service},
    shares::Quota,
    telemetry::{Metrics, Sample, Tracer},
};
use accept::Acceptor;
use auxiliary::Auxiliary;
use registry::Registry;
use tls::Tls;

pub use crate::caller::Peer;
pub use shutdown::Shutdown;

/// A fetchd server, which can serve any number of connections.
///
/// Cheap to clone; all clones share their state.
///
/// # Examples
///
/// Serve on a free port until a shutdown is requested:
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
/// // Open batches get the drain timeout to finish.
/// shutdown.request();
/// serving.await??;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Server {
    service: Service,
    auxiliary: Auxiliary,
    authentication: Authentication,
    /// `None` if callers are served in clear text.
    tls: Option<Tls>,
    registry: Registry,
    /// Limits auxiliary calls across all connections.
    auxiliary_calls: Quota,
    health: HealthReporter,
    policy: egress::Policy,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    /// `None` if nothing is traced.
    tracer: Option<Tracer>,
    config: Arc<Config>,
    readiness: Readiness,
    started: Instant,
    /// Cancelled once we ask connections to close.
    closing: CancellationToken,
    /// Cancelled once we reject new batches.
    draining: CancellationToken,
    open_batches: TaskTracker,
    open_connections: TaskTracker,
}

/// How long the collector may take for the last spans. Along with the time that callers have
/// to read the last results, it's less than a second.
const TRACE_FLUSH: Duration = Duration::from_millis(400);

impl Server {
    /// Creates a server. It doesn't accept anything until [`Server::serve`] is called.
    ///
    /// # Errors
    ///
    /// Returns an error if a setting is out of range, or if a file of
    /// [`Config::callers`] can't be used.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let user_agent = config.user_agent_header()?;
        let config = Arc::new(config);
        let policy = egress::Policy::new(&config.egress);
        let metrics = Arc::new(Metrics::new(&config.limits));
        let authentication = Authentication::load(&config.callers, Arc::clone(&metrics))?;
        let tls = config.callers.tls.as_ref();
        let tls = tls
            .map(|files| Tls::load(files, metrics.tls_reloads.clone()))
            .transpose()?;
        let tracer = match &config.traces {
            Some(traces) => Some(Tracer::start(traces, metrics.traces_dropped.clone())?),
            None => None,
        };
        let scheduler = Scheduler::new(&config, policy.clone(), Arc::clone(&metrics), user_agent);
        let draining = CancellationToken::new();
        let open_batches = TaskTracker::new();
        let admission = Admission::new(&config.limits, draining.clone(), open_batches.clone());
        let service = Service::new(
            admission,
            scheduler.clone(),
            Arc::clone(&metrics),
            tracer.clone(),
            Arc::clone(&config),
        );
        let (auxiliary, health) = Auxiliary::new();
        let connections = config.limits.max_connections as usize;
        Ok(Self {
            service,
            auxiliary,
            authentication,
            tls,
            registry: Registry::new(connections),
            // Enough for each connection to have a health watch.
            auxiliary_calls: Registry::quota(connections),
            health,
            policy,
            scheduler,
            metrics,
            tracer,
            config,
            readiness: Readiness::default(),
            started: Instant::now(),
            closing: CancellationToken::new(),
            draining,
            open_batches,
            open_connections: TaskTracker::new(),
        })
    }

    /// Returns this server's admin listener, which has a page for people, `/metrics` and
    /// probes.
    pub fn admin(&self) -> Admin {
        let server = self.clone();
        Admin {
            metrics: Arc::clone(&self.metrics),
            sample: Arc::new(move || server.sample()),
            scheduler: self.scheduler.clone(),
            policy: self.policy.clone(),
            readiness: self.readiness.clone(),
            config: Arc::clone(&self.config),
            started: self.started,
        }
    }

    /// Reads the amounts that aren't counted as they change.
    fn sample(&self) -> Sample {
        Sample {
            gate: self.scheduler.gate_counts(),
            callers: self.registry.connections(),
            origins: self.scheduler.origin_connections(),
            batches: self.service.open_batches(),
            queued_bytes: self.service.queued_bytes(),
            retry_budgets: self.scheduler.retry_budgets(),
        }
    }

    /// Accepts connections until `shutdown` is requested, then drains.
    ///
    /// A shutdown happens in three steps:
    ///
    /// 1. During the drain delay, health checks report `NOT_SERVING`, but we still accept
    ///    connections and batches.
    /// 2. During the drain timeout, connections are asked to close, and open batches
    ///    continue. Callers make calls until they've seen the request to close. We accept
    ///    those for up to half a second, and reject later ones as well as all calls on new
    ///    connections.
    /// 3. Unfinished requests end with `REASON_SHUTTING_DOWN`. After 500 ms, any
    ///    remaining connections are cut.
    ///
    /// If there are traces, they're then sent, for up to 400 ms.
    ///
    /// Steps 2 and 3 finish early once all batches and connections have ended. Calling
    /// [`Shutdown::request`] a second time cuts steps 1 and 2 short. Dropping the future
    /// cuts all connections.
    ///
    /// Semantic versioning doesn't cover listeners other than tokio's.
    ///
    /// # Errors
    ///
    /// Returns an error if the local address of `listener` can't be read. The egress
    /// policy has to deny fetches to that address, so we don't start without knowing it.
    pub async fn serve(self, listener: impl Listener, shutdown: Shutdown) -> io::Result<()> {
        self.policy.deny_listener(listener.local_addr()?, is_local);
        tokio::select! {
            () = self.accept_and_drain(listener, &shutdown) => {}
            never = self.watch_files() => match never {},
        }
        if let Some(tracer) = &self.tracer {
            tracer.flush(TRACE_FLUSH).await;
        }
        Ok(())
    }

    /// Reads the files that callers are identified by again when they change.
    async fn watch_files(&self) -> Infallible {
        let tls = OptionFuture::from(self.tls.as_ref().map(Tls::watch));
        tokio::select! {
            Some(never) = tls => never,
            never = self.authentication.watch() => never,
        }
    }

    async fn accept_and_drain(&self, listener: impl Listener, shutdown: &Shutdown) {
        self.health.set_serving::<Service>().await;
        self.readiness.enter(Stage::Serving);
        let mut acceptor = Acceptor::new(self.clone(), listener);
        tokio::select! {
            () = acceptor.run() => {}
            () = shutdown.begun() => {}
        }
        tracing::info!(batches = self.open_batches.len(), "draining");
        self.readiness.enter(Stage::DrainDelay);
        self.metrics.draining.set(1);
        self.health.set_not_serving::<Service>().await;
        tokio::select! {
            () = acceptor.run() => {}
            () = time::sleep(self.config.drain_delay) => {}
            () = shutdown.hurried() => {}
        }
        self.drain(acceptor, shutdown).await;
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut server = f.debug_struct("Server");
        server.field("config", &self.config).finish_non_exhaustive()
    }
}
