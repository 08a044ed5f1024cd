//! The server: an accept loop of our own over HTTP/2, so that connections have
//! limits and a drain has an end; health and reflection beside the service.

mod connection;
mod shutdown;

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr, UdpSocket},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::FusedFuture};
use hyper::{Request, body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
    time::{self, Instant},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::{Status, service::Routes};
use tonic_health::server::HealthReporter;
use tower::Service as _;

use crate::{
    admin::Admin,
    config::{Config, ConfigError, Limits},
    egress, proto,
    schedule::Scheduler,
    service::{self, Admission, Arrival, FETCH_BATCH, Service},
    telemetry::Metrics,
};
use connection::{Calls, HANDSHAKE, Wire};
pub use shutdown::Shutdown;

/// A service that can be served on any number of connections.
#[derive(Clone)]
pub struct Server {
    routes: Routes,
    admission: Admission,
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
}

/// Most calls at once on one connection.
const MAX_STREAMS: u32 = 256;

/// Most calls that were cancelled before they were seen: above, the connection
/// is closed as hostile. A caller may cancel all it has, a few times over.
const MAX_PENDING_RESETS: usize = 4 * MAX_STREAMS as usize;

/// What HTTP/2 holds of a response beyond the message being sent.
const MAX_SEND_BUFFER: usize = 64 << 10;

/// How long callers have to take the last of batches that are done.
const SLOW_READERS: Duration = Duration::from_secs(5);

/// How long callers have to take the last ends of a drain.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// The largest message of a call that needs no room: to health and reflection.
const MAX_QUESTION: usize = 4 << 10;

/// How long such a call may take to ask.
const ASKING: Duration = Duration::from_secs(10);

/// The largest list of headers of a call.
const MAX_HEADER_LIST: u32 = 16 << 10;

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
        let service = Service::new(scheduler.clone(), Arc::clone(&metrics), Arc::clone(&config));
        let (health, health_service) = tonic_health::server::health_reporter();
        let health_service = health_service.max_decoding_message_size(MAX_QUESTION);
        let routes = Routes::new(service).add_service(health_service);
        Ok(Self {
            routes: with_reflection(routes).prepare(),
            admission,
            health,
            policy,
            scheduler,
            metrics,
            config,
            is_ready: Arc::default(),
            draining,
            open,
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
    /// are refused, and open ones go on for the drain timeout. What is
    /// unfinished then ends with `REASON_SHUTTING_DOWN`, and 500 ms later the
    /// rest is cut.
    pub async fn serve(self, listener: TcpListener, shutdown: Shutdown) {
        match listener.local_addr() {
            Ok(own) => self.policy.deny_own(own, is_of_this_machine),
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
        drop(listener);
        self.drain(connections, &shutdown).await;
    }

    /// Accepts connections for ever, as many as may be open. Cancel-safe.
    async fn accept(&self, listener: &TcpListener, connections: &mut JoinSet<()>) {
        let most = self.config.limits.max_connections as usize;
        loop {
            tokio::select! {
                accepted = listener.accept(), if connections.len() < most => match accepted {
                    Ok((tcp, peer)) => {
                        // Without it, small results wait for each other.
                        let _ = tcp.set_nodelay(true);
                        connections.spawn(self.clone().serve_connection(tcp, Some(peer)));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        time::sleep(ACCEPT_PAUSE).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }

    /// Serves one connection, from `peer` or from within the process, until it
    /// ends. Dropping the future cuts it.
    pub async fn serve_connection<S>(self, stream: S, peer: Option<SocketAddr>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let calls = Calls::default();
        let opened = CancellationToken::new();
        let stream = TokioIo::new(Wire::new(stream, opened.clone()));
        let (routes, admission, cutting) = (self.routes, self.admission, calls.clone());
        let refusals = self.metrics.batches.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let at = Instant::now();
            let cut = cutting.cut_next();
            request.extensions_mut().insert(Arrival { at, peer, cut });
            let (mut routes, admission) = (routes.clone(), admission.clone());
            let refusals = refusals.clone();
            async move {
                if request.uri().path() != FETCH_BATCH {
                    let asked = time::timeout(ASKING, routes.call(request)).await;
                    let late = || Status::deadline_exceeded("the question did not come in time");
                    return asked.unwrap_or_else(|_| Ok(late().into_http()));
                }
                let response = match admission.admit(request).await {
                    Ok(request) => routes.call(request).await?,
                    Err(status) => status.into_http(),
                };
                if let Some(status) = response.headers().get(Status::GRPC_STATUS) {
                    let code = service::code_name(status);
                    refusals.with_label_values(&[code]).inc();
                }
                Ok(response)
            }
        });
        let http = http2_settings(calls.clone(), &self.config.limits);
        let mut connection = pin!(http.serve_connection(stream, service));
        let age = jittered(self.config.limits.max_connection_age);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            // A connection within the process is its owner's to end.
            () = unopened(&opened), if peer.is_some() => return,
            () = async {
                tokio::select! {
                    () = self.draining.cancelled() => {}
                    () = time::sleep(age), if peer.is_some() => {}
                    () = calls.idle(), if peer.is_some() => {}
                }
            } => {
                if !opened.is_cancelled() {
                    // Nobody is there to be asked.
                    return;
                }
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(?peer, %error, "a connection broke");
        }
    }

    async fn drain(&self, mut connections: JoinSet<()>, shutdown: &Shutdown) {
        self.draining.cancel();
        self.open.close();
        let all = async { while connections.join_next().await.is_some() {} };
        let mut all = pin!(all.fuse());
        let finished = async {
            self.open.wait().await;
            // What is still on its way to those who read.
            let _ = time::timeout(SLOW_READERS, &mut all).await;
        };
        tokio::select! {
            () = finished => {}
            () = time::sleep(self.config.drain_timeout) => {}
            () = shutdown.hurried() => {}
        }
        self.scheduler.stop();
        if !all.is_terminated() && time::timeout(LAST_WORDS, all).await.is_err() {
            tracing::warn!("connections are cut at the end of the drain");
        }
    }
}

/// Waits until the caller should have opened its connection, and has not. For
/// ever, where it has. Cancel-safe.
async fn unopened(opened: &CancellationToken) {
    if time::timeout(HANDSHAKE, opened.cancelled()).await.is_ok() {
        std::future::pending::<()>().await;
    }
}

/// `age`, give or take a tenth, so that connections of one moment do not all go
/// at the same time.
fn jittered(age: Duration) -> Duration {
    age.mul_f64(rand::random_range(0.9..1.1))
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

fn http2_settings(calls: Calls, limits: &Limits) -> http2::Builder<Calls> {
    let mut http = http2::Builder::new(calls);
    http.timer(TokioTimer::new())
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_send_buf_size(MAX_SEND_BUFFER);
    http
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use hyper_util::rt::TokioExecutor;
    use tokio::io::AsyncWriteExt;

    use super::*;

    const PEER: Option<SocketAddr> = Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 1));

    /// How long a connection is served whose caller says `opening`, and nothing
    /// else.
    async fn served(opening: &[u8]) -> Duration {
        let server = Server::new(Config::default()).unwrap();
        let (mut near, far) = tokio::io::duplex(1 << 16);
        near.write_all(opening).await.unwrap();
        let begun = Instant::now();
        server.serve_connection(far, PEER).await;
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_not_opened_is_dropped() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        for opening in [&b""[..], b"PRI", preface] {
            let served = served(opening).await;
            assert!(served >= HANDSHAKE && served < 2 * HANDSHAKE, "{served:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_answers_no_ping_is_dropped() {
        // It opens the connection, with empty settings.
        let opening = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let served = served(opening).await;
        let limits = Limits::default();
        let keepalive = limits.keepalive_interval + limits.keepalive_timeout;
        assert!(served >= HANDSHAKE && served < 2 * keepalive, "{served:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_connection_is_asked_to_go() {
        let mut config = Config::default();
        config.limits.max_connection_age = Duration::from_hours(24);
        let server = Server::new(config).unwrap();
        let (near, far) = tokio::io::duplex(1 << 16);
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let opening = builder.handshake::<_, tonic::body::Body>(TokioIo::new(near));
        let serving = tokio::spawn(server.serve_connection(far, PEER));
        let (_calls, connection) = opening.await.unwrap();
        let begun = Instant::now();
        let _ = connection.await;
        serving.await.unwrap();
        let idle = begun.elapsed();
        assert!(idle < Duration::from_mins(10), "{idle:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_within_the_process_lasts() {
        let server = Server::new(Config::default()).unwrap();
        let (near, far) = tokio::io::duplex(1 << 16);
        let serving = tokio::spawn(server.serve_connection(far, None));
        let builder = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
        let opening = builder.handshake::<_, tonic::body::Body>(TokioIo::new(near));
        let (calls, connection) = opening.await.unwrap();
        let connection = tokio::spawn(connection);
        time::sleep(Duration::from_hours(1)).await;
        assert!(!connection.is_finished() && !serving.is_finished() && !calls.is_closed());
    }

    #[test]
    fn a_connection_s_age_is_jittered() {
        let age = Duration::from_mins(5);
        let ages: Vec<_> = (0..100).map(|_| jittered(age)).collect();
        assert!(ages.iter().all(|age| (270..330).contains(&age.as_secs())));
        assert!(ages.iter().max() > ages.iter().min());
    }

    #[test]
    fn a_server_is_made_before_there_is_a_runtime() {
        assert!(Server::new(Config::default()).is_ok());
    }
}
