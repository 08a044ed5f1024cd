//! Serves a single connection: its handshake, limits and shutdown.

mod answer;
#[cfg(test)]
mod tests;

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time,
};
use tokio_util::sync::CancellationToken;

use super::{
    Peer, Server,
    auxiliary::Auxiliary,
    backlog::Backlog,
    executor::CallExecutor,
    monitor::{Monitor, MonitoredStream},
    registry::Registration,
};
use crate::{
    caller::Identity,
    config::Limits,
    service::{Authentication, Outbox, Service},
};

/// State shared by all calls on a connection.
struct Connection {
    service: Service,
    auxiliary: Auxiliary,
    executor: CallExecutor,
    registration: Registration,
    monitor: Monitor,
    backlog: Backlog,
    /// Cancelled when the first call arrives.
    called: CancellationToken,
    outbox: Outbox,
    peer: Peer,
    /// Who calls without a token come from.
    identity: Identity,
    authentication: Authentication,
    /// Whether a drain had already begun when the connection was opened.
    is_late: bool,
    closing: CancellationToken,
    draining: CancellationToken,
}

/// The maximum number of concurrent calls on a connection (HTTP/2 streams).
pub(super) const MAX_STREAMS: u32 = 256;

/// How many calls a caller may reset before hyper has seen them. If there are more, hyper
/// closes the connection as abusive. We allow 4x the stream limit, so that a caller can
/// cancel all of its calls a few times over.
const MAX_PENDING_RESETS: usize = 4 * MAX_STREAMS as usize;

/// How many bytes of a response HTTP/2 may buffer, on top of the message being sent.
const MAX_SEND_BUFFER: usize = 64 << 10;

/// The maximum size of a call's header list, in bytes.
const MAX_HEADER_LIST: u32 = 16 << 10;

/// How long a peer may take to open the connection, and before that for a TLS handshake.
/// We drop it after that.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Same as [`HANDSHAKE_TIMEOUT`], but used when the connection is about to close, e.g.,
/// while we drain.
const DRAIN_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a new connection without a call stays open before we ask it to close.
///
/// If we asked right away, the caller couldn't send its first call. And if we asked while
/// sending the answer, the caller could lose the answer, since h2 closes a connection
/// when its last call ends, even if there's still data to write.
const FIRST_CALL_GRACE: Duration = Duration::from_millis(250);

/// A connection that has had no batch for this long is asked to close.
const IDLE_TIMEOUT: Duration = Duration::from_mins(5);

/// How long auxiliary calls may continue after the connection was asked to close.
const CLOSE_GRACE: Duration = Duration::from_secs(1);

/// How long an evicted connection gets to write the answers to its waiting calls.
const EVICTION_GRACE: Duration = Duration::from_millis(100);

/// A cap on the connection age (10 years). No process lives that long, and adding it to
/// an instant can't overflow.
const MAX_AGE: Duration = Duration::from_hours(24 * 365 * 10);

impl Server {
    /// Serves one connection until it ends. Dropping the future cuts the connection.
    ///
    /// `peer` determines which caller the connection's batches and bytes are counted for,
    /// unless its calls have tokens. Use [`Peer::Local`] for a client in the same process,
    /// which can connect without a socket, and needs no token.
    ///
    /// The stream is served as it is, so TLS is up to you.
    pub async fn serve_connection<S>(self, stream: S, peer: Peer)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let registration = self.registry.register(peer);
        self.serve_registered(stream, peer, peer.into(), registration)
            .await;
    }

    /// Serves a connection that was accepted from our listener, over TLS if that's on.
    pub(super) async fn serve_accepted<S>(self, stream: S, address: SocketAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let peer = Peer::Tcp(address);
        let Some(tls) = self.tls.clone() else {
            return self.serve_connection(stream, peer).await;
        };
        // Register first, so that unfinished handshakes count as connections.
        let registration = self.registry.register(peer);
        let accepted = tokio::select! {
            accepted = tls.accept(stream) => accepted,
            () = time::sleep(HANDSHAKE_TIMEOUT) => Err(io::ErrorKind::TimedOut.into()),
            () = registration.evicted() => return,
            () = self.handshake_cut_short(&registration) => return,
        };
        match accepted {
            Ok((stream, name)) => {
                let identity = name.unwrap_or_else(|| peer.into());
                self.serve_registered(stream, peer, identity, registration)
                    .await;
            }
            Err(error) => {
                self.metrics.tls_handshake_failures.inc();
                tracing::debug!(peer = %address, %error, "a TLS handshake failed");
            }
        }
    }

    /// Completes when a drain has begun or another connection needs the permit, and a TLS
    /// handshake has had its time since.
    async fn handshake_cut_short(&self, registration: &Registration) {
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = registration.asked_to_close() => {}
        }
        time::sleep(DRAIN_HANDSHAKE_TIMEOUT).await;
    }

    async fn serve_registered<S>(
        self,
        stream: S,
        peer: Peer,
        identity: Identity,
        registration: Registration,
    ) where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let backlog = Backlog::default();
        let quota = self.auxiliary_calls.clone();
        let connection = Arc::new(Connection {
            service: self.service.clone(),
            auxiliary: self.auxiliary.clone(),
            executor: CallExecutor::new(peer.into(), quota, backlog.clone()),
            registration,
            monitor: Monitor::default(),
            backlog,
            called: CancellationToken::new(),
            outbox: Outbox::default(),
            peer,
            identity,
            authentication: self.authentication.clone(),
            is_late: self.closing.is_cancelled(),
            closing: self.closing.clone(),
            draining: self.draining.clone(),
        });
        let served = connection.serve(stream, &self.config.limits).await;
        if let Err(error) = served {
            let peer = peer.address().map(tracing::field::display);
            tracing::debug!(peer, %error, "a connection failed");
        }
    }
}

impl Connection {
    async fn serve<S>(self: &Arc<Self>, stream: S, limits: &Limits) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (monitor, backlog) = (self.monitor.clone(), self.backlog.clone());
        let stream = TokioIo::new(MonitoredStream::new(stream, monitor, backlog));
        let connection = Arc::clone(self);
        let service = service_fn(move |request| {
            let answering = Arc::clone(&connection).answer(request);
            async move { Ok::<_, Infallible>(answering.await) }
        });
        let http = http2_settings(self.executor.clone(), limits);
        let mut http = pin!(http.serve_connection(stream, service));
        tokio::select! {
            served = self.drive(http.as_mut()) => return served,
            () = self.handshake_timed_out() => return Ok(()),
            () = self.monitor.stalled(limits.stall_timeout) => return Ok(()),
            () = self.should_close(limits) => {}
        }
        tokio::select! {
            served = self.drive(http.as_mut()) => return served,
            is_opened = self.ready_to_close() => if !is_opened {
                return Ok(());
            }
        }
        http.as_mut().graceful_shutdown();
        tokio::select! {
            served = self.drive(http.as_mut()) => served,
            () = self.monitor.stalled(limits.stall_timeout) => Ok(()),
            () = self.closing_timed_out() => Ok(()),
            () = self.eviction_timed_out() => Ok(()),
        }
    }

    /// Drives `http`. Once everything has been written, this also releases the permits of
    /// calls that have ended. Cancel-safe.
    async fn drive<C: Future>(&self, mut http: Pin<&mut C>) -> C::Output {
        poll_fn(|cx| {
            let ended = self.outbox.take();
            self.monitor.begin_turn();
            let polled = http.as_mut().poll(cx);
            if self.monitor.is_blocked() {
                self.outbox.put_back(ended);
            }
            polled
        })
        .await
    }

    /// Completes if the peer doesn't open the connection in time. If it does, this never
    /// completes. Cancel-safe.
    async fn handshake_timed_out(&self) {
        let opened = time::timeout(HANDSHAKE_TIMEOUT, self.monitor.opened()).await;
        if opened.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until we should ask the peer to close the connection. Cancel-safe.
    async fn should_close(&self, limits: &Limits) {
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = time::sleep(jittered(limits.max_connection_age)) => {}
            () = self.registration.idle_for(IDLE_TIMEOUT) => {}
            () = self.registration.asked_to_close() => {}
        }
    }

    /// Waits until we can ask the peer to close the connection. It must have opened the
    /// connection first, and it gets some time to make a call and read the answer.
    /// Returns false if the peer didn't open the connection. Cancel-safe.
    async fn ready_to_close(&self) -> bool {
        tokio::select! {
            () = self.registration.evicted() => self.monitor.is_opened(),
            is_opened = self.first_call() => is_opened,
        }
    }

    async fn first_call(&self) -> bool {
        let is_new = !self.called.is_cancelled();
        let opening = time::timeout(DRAIN_HANDSHAKE_TIMEOUT, self.monitor.opened());
        let is_opened = opening.await.is_ok();
        if is_new && is_opened {
            time::sleep(FIRST_CALL_GRACE).await;
        }
        is_opened
    }

    /// Waits until a connection that was asked to close should be cut.
    ///
    /// After a grace period, we cut its auxiliary calls, because they may last forever.
    /// From then on the connection is only cut if another connection needs its permit and
    /// this one has had no batch for another grace period. Cancel-safe.
    async fn closing_timed_out(&self) {
        time::sleep(CLOSE_GRACE).await;
        self.executor.cut_auxiliary();
        self.registration.asked_to_close().await;
        self.registration.idle_for(CLOSE_GRACE).await;
    }

    /// Waits for the connection to be evicted, and then a bit longer so that the answers
    /// to its waiting calls can be written. Cancel-safe.
    async fn eviction_timed_out(&self) {
        self.registration.evicted().await;
        time::sleep(EVICTION_GRACE).await;
    }
}

/// Adds up to 10% of jitter to `age`, in either direction. Without it, connections opened
/// at the same time would also close at the same time.
fn jittered(age: Duration) -> Duration {
    age.min(MAX_AGE).mul_f64(0.9 + 0.2 * fastrand::f64())
}

fn http2_settings(executor: CallExecutor, limits: &Limits) -> http2::Builder<CallExecutor> {
    let mut http = http2::Builder::new(executor);
    http.timer(TokioTimer::new())
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_send_buf_size(MAX_SEND_BUFFER);
    http
}
