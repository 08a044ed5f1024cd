//! The server: an accept loop of our own over HTTP/2, so that connections have
//! limits and a drain has an end; health and reflection beside the service.

mod calls;
mod connection;
mod places;
mod shutdown;
mod wire;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::{
    admin::Admin,
    config::{Config, ConfigError},
    egress, proto,
    schedule::Scheduler,
    service::{Admission, Service},
    shares::Quota,
    telemetry::Metrics,
};
use places::Places;
pub use shutdown::Shutdown;

/// A service that can be served on any number of connections.
#[derive(Clone)]
pub struct Server {
    service: Service,
    /// Health and reflection.
    routes: Routes,
    places: Places,
    /// Calls that are no batches.
    others: Quota,
    health: HealthReporter,
    /// Which is told where the server listens.
    policy: egress::Policy,
    scheduler: Scheduler,
    metrics: Arc<Metrics>,
    config: Arc<Config>,
    /// New batches are welcome.
    is_ready: Arc<AtomicBool>,
    /// New batches are refused, and connections asked to go away.
    draining: CancellationToken,
    /// The batches under way.
    open: TaskTracker,
    /// The connections.
    connected: TaskTracker,
}

/// How long callers have to take the last of batches that are done.
const SLOW_READERS: Duration = Duration::from_secs(5);

/// How long callers have to take the last ends of a drain.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// How long a drain lasts at least, for callers that are connecting when it begins:
/// they are told to call another server.
const LATE_CALLERS: Duration = Duration::from_millis(250);

/// The largest message of a call that needs no room: to health and reflection.
const MAX_QUESTION: usize = 4 << 10;

/// How long to wait after a connection could not be accepted: for lack of file
/// descriptors, most likely, which only time gives back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Server {
    /// A server with `config`, that is not serving yet.
    ///
    /// # Errors
    ///
    /// A setting out of its range.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let user_agent = config.user_agent_header()?;
        let config = Arc::new(config);
        let policy = egress::Policy::new(&config.egress);
        let metrics = Arc::new(Metrics::new());
        let scheduler = Scheduler::new(&config, policy.clone(), Arc::clone(&metrics), user_agent);
        let draining = CancellationToken::new();
        let open = TaskTracker::new();
        let admission = Admission::new(&config.limits, draining.clone(), open.clone());
        let service = Service::new(
            admission,
            scheduler.clone(),
            Arc::clone(&metrics),
            Arc::clone(&config),
        );
        let (health, health_service) = tonic_health::server::health_reporter();
        let health_service = health_service.max_decoding_message_size(MAX_QUESTION);
        let routes = Routes::new(health_service);
        Ok(Self {
            service,
            routes: with_reflection(routes).prepare(),
            places: Places::new(config.limits.max_connections as usize),
            // A watch each.
            others: Places::quota(config.limits.max_connections as usize),
            health,
            policy,
            scheduler,
            metrics,
            config,
            is_ready: Arc::default(),
            draining,
            open,
            connected: TaskTracker::new(),
        })
    }

    /// What answers `/metrics`, `/healthz` and `/readyz` for this server.
    pub fn admin(&self) -> Admin {
        Admin {
            metrics: Arc::clone(&self.metrics),
            scheduler: self.scheduler.clone(),
            policy: self.policy.clone(),
            is_ready: Arc::clone(&self.is_ready),
        }
    }

    /// Accepts connections until `shutdown`, and for the drain delay after it
    /// began, NOT SERVING. Then connections are asked to go away, new batches
    /// are refused, also on new connections, and open ones go on for the drain
    /// timeout. What is unfinished then ends with `REASON_SHUTTING_DOWN`, and
    /// 500 ms later the rest is cut.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) {
        match listener.local_addr() {
            Ok(own) => self.policy.deny_listener(own, is_of_this_machine),
            Err(error) => return tracing::error!(%error, "where to listen is not known"),
        }
        self.health.set_serving::<Service>().await;
        self.is_ready.store(true, Ordering::Relaxed);
        let mut connections = JoinSet::new();
        tokio::select! {
            () = self.accept(&listener, &mut connections) => {}
            () = shutdown.begun() => {}
        }
        tracing::info!(batches = self.open.len(), "draining");
        self.is_ready.store(false, Ordering::Relaxed);
        self.metrics.draining.set(1);
        self.health.set_not_serving::<Service>().await;
        tokio::select! {
            () = self.accept(&listener, &mut connections) => {}
            () = time::sleep(self.config.drain_delay) => {}
            () = shutdown.hurried() => {}
        }
        self.drain(listener, connections, &shutdown).await;
    }

    /// Accepts connections for ever, as many as may be open. Cancel-safe.
    async fn accept(&self, listener: &TcpListener, connections: &mut JoinSet<()>) {
        let most = Places::most(self.config.limits.max_connections as usize);
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < most => match accepted {
                    Ok((tcp, peer)) => self.open_connection(tcp, peer, connections),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    fn open_connection(&self, tcp: TcpStream, peer: SocketAddr, connections: &mut JoinSet<()>) {
        // Without it, small results wait for each other.
        let _ = tcp.set_nodelay(true);
        let serving = self.clone().serve_connection(tcp, Some(peer));
        connections.spawn(self.connected.track_future(serving));
    }

    async fn drain(
        &self,
        listener: TcpListener,
        mut connections: JoinSet<()>,
        shutdown: &Shutdown,
    ) {
        self.draining.cancel();
        self.open.close();
        self.connected.close();
        {
            let finished = async {
                {
                    let batches =
                        async { tokio::join!(self.open.wait(), time::sleep(LATE_CALLERS)) };
                    tokio::select! {
                        () = self.accept(&listener, &mut connections) => {}
                        _ = batches => {}
                    }
                }
                // What is still on its way to those who read. Who connects now waits,
                // or else there would be no end of them.
                let _ = time::timeout(SLOW_READERS, self.connected.wait()).await;
            };
            tokio::select! {
                () = finished => {}
                () = time::sleep(self.config.drain_timeout) => {}
                () = shutdown.hurried() => {}
            }
        }
        self.scheduler.stop();
        // Those who connected just now are told, too.
        while let Some(Ok((tcp, peer))) = listener.accept().now_or_never() {
            self.open_connection(tcp, peer, &mut connections);
        }
        drop(listener);
        if time::timeout(LAST_WORDS, self.connected.wait())
            .await
            .is_err()
        {
            tracing::warn!("connections are cut at the end of the drain");
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut server = f.debug_struct("Server");
        server.field("config", &self.config).finish_non_exhaustive()
    }
}

/// Whether `address` is one of this machine: no other can be bound to. An
/// answer that is neither yes nor no counts as yes.
pub(crate) fn is_of_this_machine(address: IpAddr) -> bool {
    let bound = UdpSocket::bind((address, 0));
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

fn with_reflection(routes: Routes) -> Routes {
    const READABLE: &str = "the descriptors were encoded by the build";

    let builder = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let v1 = builder().build_v1().expect(READABLE);
    let v1alpha = builder().build_v1alpha().expect(READABLE);
    routes
        .add_service(v1.max_decoding_message_size(MAX_QUESTION))
        .add_service(v1alpha.max_decoding_message_size(MAX_QUESTION))
}
