//! One connection of a caller, from its first byte to its last call.

use std::{
    convert::Infallible,
    future::poll_fn,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{self, Instant},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, body::Body, service::Routes};
use tower::Service as _;

use super::{
    Server,
    calls::Calls,
    places::{Busy, Visit},
    wire::{Wire, WireState},
};
use crate::{
    caller::Caller,
    config::Limits,
    service::{Arrival, FETCH_BATCH, Outbox, Service, draining, full},
};

/// Most calls at once on one connection.
const MAX_STREAMS: u32 = 256;

/// Most calls that were cancelled before they were seen: above, the connection
/// is closed as hostile. A caller may cancel all it has, a few times over.
const MAX_PENDING_RESETS: usize = 4 * MAX_STREAMS as usize;

/// What HTTP/2 holds of a response beyond the message being sent.
const MAX_SEND_BUFFER: usize = 64 << 10;

/// The largest list of headers of a call.
const MAX_HEADER_LIST: u32 = 16 << 10;

/// How long a caller may take to open its connection.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// The same once the server drains.
const LATE_HANDSHAKE: Duration = Duration::from_secs(1);

/// How long a caller that has opened its connection, and has made no call, is left
/// alone before it is asked to go away. Told so earlier, it could not send its first
/// call any more; told so together with the answer, it may lose that: h2 closes a
/// connection that is to end as soon as its last call has, with what is not written.
const FIRST_CALL: Duration = Duration::from_millis(250);

/// How long a connection may be without a batch.
const IDLE: Duration = Duration::from_mins(5);

/// How long calls other than batches go on once the connection is to end.
const LEAVE_GRACE: Duration = Duration::from_secs(1);

/// How long a connection that makes room for another at once may take to be told so.
const EVICTION_GRACE: Duration = Duration::from_millis(100);

/// How long a batch waits for a place among the connections.
const PLACE_WAIT: Duration = Duration::from_secs(20);

/// How long a call that is no batch may take to be answered.
const OTHER_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest age: more than any process lives, and little enough to add to.
const MAX_AGE: Duration = Duration::from_hours(24 * 365 * 10);

/// What the calls of one connection share.
struct Connection {
    service: Service,
    routes: Routes,
    calls: Calls,
    visit: Visit,
    wire: WireState,
    /// It has had a call.
    called: CancellationToken,
    outbox: Outbox,
    peer: Option<SocketAddr>,
    draining: CancellationToken,
}

/// What a call asks for.
enum Kind {
    Batch(Arc<Busy>, CancellationToken),
    /// Health or reflection.
    Other,
    Refused,
}

impl Server {
    /// Serves one connection, from `peer` or from within the process, until it
    /// ends. Dropping the future cuts it.
    pub async fn serve_connection<S>(self, stream: S, peer: Option<SocketAddr>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let limits = &self.config.limits;
        let caller = Caller::at(peer);
        let connection = Arc::new(Connection {
            service: self.service.clone(),
            routes: self.routes.clone(),
            calls: Calls::new(caller, self.others.clone()),
            visit: self.places.enter(caller),
            wire: WireState::default(),
            called: CancellationToken::new(),
            outbox: Outbox::default(),
            peer,
            draining: self.draining.clone(),
        });
        let served = connection.serve(stream, limits).await;
        if let Err(error) = served {
            tracing::debug!(?peer, %error, "a connection broke");
        }
    }
}

impl Connection {
    async fn serve<S>(self: &Arc<Self>, stream: S, limits: &Limits) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let stream = TokioIo::new(Wire::new(stream, self.wire.clone()));
        let this = Arc::clone(self);
        let service = service_fn(move |request| {
            let answering = Arc::clone(&this).answer(request);
            async move { Ok::<_, Infallible>(answering.await) }
        });
        let http = http2_settings(self.calls.clone(), limits);
        let mut http = pin!(http.serve_connection(stream, service));
        // A connection within the process is its owner's to end.
        let is_outside = self.peer.is_some();
        tokio::select! {
            served = self.run(http.as_mut()) => return served,
            () = self.unopened(), if is_outside => return Ok(()),
            () = self.wire.stuck(limits.stall_timeout), if is_outside => return Ok(()),
            () = self.draining.cancelled() => {}
            () = time::sleep(jittered(limits.max_connection_age)), if is_outside => {}
            () = self.visit.idle_for(IDLE), if is_outside => {}
            () = self.visit.asked_to_leave(), if is_outside => {}
        }
        tokio::select! {
            served = self.run(http.as_mut()) => return served,
            () = self.visit.evicted() => {
                if !self.wire.is_opened() {
                    return Ok(());
                }
            }
            is_opened = self.late_call() => {
                if !is_opened && is_outside {
                    // Nobody is there to be asked.
                    return Ok(());
                }
            }
        }
        http.as_mut().graceful_shutdown();
        tokio::select! {
            served = self.run(http.as_mut()) => served,
            () = self.wire.stuck(limits.stall_timeout), if is_outside => Ok(()),
            () = self.left_over() => Ok(()),
            () = self.last_answers() => Ok(()),
        }
    }

    /// Drives `http`, and gives back the room of ended calls when all that they
    /// said is with the system. Cancel-safe.
    async fn run<C: Future>(&self, mut http: Pin<&mut C>) -> C::Output {
        poll_fn(|cx| {
            let ended = self.outbox.take();
            self.wire.unblock();
            let polled = http.as_mut().poll(cx);
            if self.wire.is_blocked() {
                self.outbox.put_back(ended);
            }
            polled
        })
        .await
    }

    /// Waits until the caller should have opened its connection, and has not. For
    /// ever, if it has. Cancel-safe.
    async fn unopened(&self) {
        if time::timeout(HANDSHAKE, self.wire.opened()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until the caller has opened its connection, and could make its first call
    /// and learn what becomes of it, a short while each. False: it has not opened it.
    /// Cancel-safe.
    async fn late_call(&self) -> bool {
        let is_new = !self.called.is_cancelled();
        let opened = time::timeout(LATE_HANDSHAKE, self.wire.opened()).await;
        if is_new && opened.is_ok() {
            time::sleep(FIRST_CALL).await;
        }
        opened.is_ok()
    }

    /// Cuts the calls that would last for ever once the connection is to end, and
    /// waits until it has made room if it is to. Cancel-safe.
    async fn left_over(&self) {
        time::sleep(LEAVE_GRACE).await;
        self.calls.cut_others();
        self.visit.asked_to_leave().await;
        self.visit.idle_for(LEAVE_GRACE).await;
    }

    /// Waits until the connection is evicted, and a moment more for the answers to its
    /// waiting calls. Cancel-safe.
    async fn last_answers(&self) {
        self.visit.evicted().await;
        time::sleep(EVICTION_GRACE).await;
    }

    /// Answers a call. What is to be noted at once is done before the future is
    /// polled, as hyper runs it right after.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Body>> + Send {
        let at = Instant::now();
        self.called.cancel();
        let kind = if request.uri().path() == FETCH_BATCH {
            let busy = Arc::new(self.visit.begin_batch());
            let cut = self.calls.batch_next(Arc::clone(&busy));
            Kind::Batch(busy, cut)
        } else if self.calls.other_next() && !self.wire.is_blocked() {
            Kind::Other
        } else {
            Kind::Refused
        };
        async move {
            match kind {
                Kind::Batch(busy, cut) => self.answer_batch(request, at, &busy, cut).await,
                Kind::Other => self.answer_other(request).await,
                Kind::Refused => full("calls on this connection").into_http(),
            }
        }
    }

    async fn answer_batch(
        &self,
        request: Request<Incoming>,
        at: Instant,
        busy: &Busy,
        cut: CancellationToken,
    ) -> Response<Body> {
        let place = tokio::select! {
            biased;
            () = self.draining.cancelled() => Err(draining()),
            () = self.visit.evicted() => Err(full("connections (--max-connections)")),
            place = time::timeout(PLACE_WAIT, busy.place()) => {
                let has_place = place.unwrap_or(false);
                has_place.then_some(()).ok_or_else(|| full("connections (--max-connections)"))
            }
        };
        if let Err(status) = place {
            return self.service.refuse(status);
        }
        let arrival = Arrival {
            at,
            peer: self.peer,
            cut,
            outbox: self.outbox.clone(),
        };
        self.service.call(request, arrival).await
    }

    async fn answer_other(&self, mut request: Request<Incoming>) -> Response<Body> {
        // What is not read is not held until the call ends.
        keep_known(request.headers_mut());
        let mut routes = self.routes.clone();
        match time::timeout(OTHER_TIMEOUT, routes.call(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_) => {
                Status::deadline_exceeded("the request message did not arrive in time").into_http()
            }
        }
    }
}

/// Drops all headers but those that gRPC itself reads.
fn keep_known(headers: &mut HeaderMap) {
    const KNOWN: [HeaderName; 2] = [header::CONTENT_TYPE, header::TE];
    const KNOWN_OF_GRPC: [&str; 3] = ["grpc-timeout", "grpc-encoding", "grpc-accept-encoding"];

    let all = std::mem::take(headers);
    for name in KNOWN.iter().map(HeaderName::as_str).chain(KNOWN_OF_GRPC) {
        if let Some(value) = all.get(name) {
            // A copy, since the value is a part of the whole list.
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_bytes(value.as_bytes()),
            ) {
                headers.insert(name, value);
            }
        }
    }
}

/// `age`, give or take a tenth, so that connections of one moment do not all go
/// at the same time.
fn jittered(age: Duration) -> Duration {
    age.min(MAX_AGE).mul_f64(rand::random_range(0.9..1.1))
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
    use std::net::{IpAddr, Ipv4Addr};

    use hyper_util::rt::TokioExecutor;
    use tokio::io::AsyncWriteExt;

    use super::*;
    use crate::config::Config;

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
