//! A single attempt at a request, with redirects and timeouts.
//!
//! [`Fetcher::fetch`] returns the final response as soon as its head has arrived. The
//! [`Body`] is then read one part at a time, so we never need memory for more than one
//! part, no matter how large the body is. If the body is read to its end, then we keep
//! the connection for the next request to the same origin. Dropping a response (or the
//! future) closes the connection.

mod body;
mod error;
mod hop;
mod idle;
mod redirect;

use http::HeaderValue;
use tokio::time::{self, Instant};

use crate::{
    clock::{Clock, Elapsed},
    config::Config,
    connect::{Connector, Origin, OriginStream, PoolLimits, Progress},
    decode::Decoder,
    egress,
    http1::{self, Connection},
    request::Request,
    response::{FetchError, Head, Phases},
    telemetry::{Connections, OriginMetrics, RequestTrace},
};
pub(crate) use body::{Body, BodyEnd};
use hop::Hop;
use idle::IdleConnections;
use redirect::Next;

/// Fetches from origins, and keeps their idle connections around.
pub(crate) struct Fetcher {
    connector: Connector,
    idle: IdleConnections,
    user_agent: HeaderValue,
    metrics: OriginMetrics,
}

/// A response. Its head has arrived, and its body is yet to be read.
pub(crate) struct Response<'f> {
    pub(crate) head: Head,
    pub(crate) body: Body<'f>,
}

/// Statistics about an attempt. They're recorded even if it fails.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AttemptStats {
    /// How many redirects we followed.
    pub(crate) redirects: u32,
    /// When the last hop began.
    pub(crate) hop_began: Option<Instant>,
    /// How we got a connection for the last hop.
    pub(crate) phases: Phases,
}

/// The reason why we didn't get a response head.
enum ExchangeError {
    Connection(http1::Error),
    Timeout(Elapsed),
}

impl Fetcher {
    /// Creates a fetcher that uses the limits from `config`.
    pub(crate) fn new(
        config: &Config,
        policy: egress::Policy,
        user_agent: HeaderValue,
        metrics: OriginMetrics,
    ) -> Self {
        // There can't be more connections in use than this, so we keep just as many idle
        // ones.
        let total = config.limits.max_in_flight as usize;
        let max_per_host = config.limits.max_per_host as usize;
        let idle = IdleConnections::new(PoolLimits {
            total,
            per_origin: if max_per_host == 0 {
                total
            } else {
                max_per_host
            },
            idle_timeout: config.origins.pool_idle_timeout,
        });
        Self {
            connector: Connector::new(policy, &config.origins, metrics.clone()),
            idle,
            user_agent,
            metrics,
        }
    }

    /// Returns how many connections to origins there are.
    pub(crate) fn connections(&self) -> Connections {
        let idle = self.idle.count();
        Connections {
            active: self.metrics.open_connections().saturating_sub(idle),
            idle,
        }
    }

    /// Sends `request` and follows redirects. Returns the final response as soon as we
    /// have its head. What happens on the way is recorded in `trace`.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        clock: &Clock,
        stats: &mut AttemptStats,
        trace: &mut RequestTrace,
    ) -> Result<Response<'_>, FetchError> {
        let max_redirects = request.options.max_redirects;
        let mut hop = Hop::new(request);
        *stats = AttemptStats::default();
        loop {
            let origin = hop.origin()?;
            stats.hop_began = Some(Instant::now());
            let response = self
                .send(&hop, &origin, request, clock, stats, trace)
                .await?;
            let is_reused = stats.phases.is_reused;
            match hop.next(&response.head, stats.redirects, max_redirects)? {
                Next::Redirect(next) => {
                    if self.idle.discard(response.body, origin, is_reused).await {
                        // This response might belong to some other request, so we can't
                        // trust it. By now the origin is in quarantine, so if we send the
                        // request again, it'll get a new connection.
                        if !hop.is_idempotent() {
                            return Err(error::out_of_sync());
                        }
                        trace.resent();
                        continue;
                    }
                    hop = *next;
                    trace.redirected(response.head.status, &hop.uri);
                    stats.redirects += 1;
                }
                Next::Final => {
                    let source = body::Source {
                        incoming: response.body,
                        origin,
                        idle: &self.idle,
                        is_reused,
                    };
                    return Ok(decoded(hop, request, response.head, source));
                }
            }
        }
    }

    /// Sends the request of a single hop, if possible over an idle connection.
    ///
    /// The origin may close an idle connection at any time, even right before we write to
    /// it. That's not the request's fault, so we just send it again over another
    /// connection, unless the origin might already have processed it.
    async fn send(
        &self,
        hop: &Hop<'_>,
        origin: &Origin,
        request: &Request,
        clock: &Clock,
        stats: &mut AttemptStats,
        trace: &mut RequestTrace,
    ) -> Result<http1::Response<OriginStream>, FetchError> {
        let mut idle = self.idle.take(origin, hop.is_idempotent());
        loop {
            let is_reused = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => {
                    self.metrics.reused.inc();
                    trace.reused();
                    stats.phases = Phases {
                        is_reused,
                        ..Phases::default()
                    };
                    connection
                }
                // This future is large but not needed very often, so box it.
                None => Box::pin(self.connect(hop, request, clock, stats, trace)).await?,
            };
            let error = match self.exchange(&mut connection, hop, clock).await {
                Ok(parsed) => return Ok(connection.into_response(parsed)),
                Err(error) => error,
            };
            let can_resend = connection.can_resend(hop.is_idempotent());
            if !is_reused || !self.resends(origin, hop, &error, can_resend) {
                return Err(error.into());
            }
            trace.resent();
        }
    }

    /// Records that a reused connection to `origin` has failed. Returns true if the
    /// request should be sent again over a new connection.
    fn resends(
        &self,
        origin: &Origin,
        hop: &Hop<'_>,
        error: &ExchangeError,
        can_resend: bool,
    ) -> bool {
        match error {
            ExchangeError::Connection(_) if can_resend => {
                self.idle.record_broken(origin);
                true
            }
            // Perhaps these bytes are just the rest of some other response.
            ExchangeError::Connection(http1::Error::Malformed(_)) => {
                self.idle.quarantine(origin);
                hop.is_idempotent()
            }
            ExchangeError::Connection(_) | ExchangeError::Timeout(_) => {
                self.idle.record_broken(origin);
                false
            }
        }
    }

    async fn connect(
        &self,
        hop: &Hop<'_>,
        request: &Request,
        clock: &Clock,
        stats: &mut AttemptStats,
        trace: &mut RequestTrace,
    ) -> Result<Connection<OriginStream>, FetchError> {
        let timeout = request.options.connect_timeout;
        while self.connector.sockets().is_exhausted() && self.idle.evict_oldest() {}
        let mut progress = Progress::new(trace);
        let connecting = self.connector.connect(&hop.uri, &mut progress);
        let connected = clock.total(time::timeout(timeout, connecting)).await;
        stats.phases = progress.phases;
        match connected {
            Ok(Ok(Ok(stream))) => Ok(Connection::new(stream)),
            Ok(Ok(Err(error))) => Err(error::connect(&error)),
            Ok(Err(_)) => Err(error::connect_timeout(timeout, progress.stage)),
            Err(passed) => Err(error::connect_deadline(passed, progress.stage)),
        }
    }

    /// Writes the request of `hop`, and waits for the response head.
    async fn exchange(
        &self,
        connection: &mut Connection<OriginStream>,
        hop: &Hop<'_>,
        clock: &Clock,
    ) -> Result<http1::Parsed, ExchangeError> {
        connection.start(&hop.method, hop.body.clone(), |head| {
            hop.write_head(&self.user_agent, head);
        });
        let mut idle_since = Instant::now();
        loop {
            match clock.idle_since(idle_since, connection.exchange()).await {
                Ok(parsed) => return parsed.map_err(ExchangeError::Connection),
                Err(passed) => match connection.last_write() {
                    // We've written something in the meantime, so the origin is still
                    // reading the request and thus not idle.
                    Some(written) if written > idle_since && passed.is_idle() => {
                        idle_since = written;
                    }
                    _ => return Err(ExchangeError::Timeout(passed)),
                },
            }
        }
    }
}

/// Returns the final response. The body gets decoded, unless the caller asked for the raw
/// one.
fn decoded<'f>(
    hop: Hop<'_>,
    request: &Request,
    mut head: http1::Head,
    source: body::Source<'f>,
) -> Response<'f> {
    let decoder = if hop.wants_raw_body() || source.incoming.is_complete() {
        Ok(None)
    } else {
        Decoder::from_headers(&head.headers)
    };
    if let Ok(Some(_)) = decoder {
        head.headers.remove(&["content-encoding", "content-length"]);
    }
    let body = match decoder {
        Ok(decoder) => Body::new(source, decoder, &request.options),
        Err(error) => {
            let mut body = Body::new(source, None, &request.options);
            body.fail(error::undecodable(&error));
            body
        }
    };
    Response {
        head: Head {
            status: head.status,
            headers: head.headers,
            url: hop.uri,
            version: head.version,
        },
        body,
    }
}

impl From<ExchangeError> for FetchError {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Connection(error) => error::broken(&error, "the response head"),
            ExchangeError::Timeout(passed) => error::head_timeout(passed),
        }
    }
}
