//! One attempt at one request, including redirects and timeouts.
//!
//! [`Fetcher::fetch`] returns the head of the final response. Its [`Body`] is then read
//! part by part, so that a body of any size needs the memory of one part. If a body is
//! read to its end, its connection is kept for the next request to the same origin.
//! Dropping a response or its future closes the connection.

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
};
pub(crate) use body::{Body, BodyEnd};
use hop::Hop;
use idle::IdleConnections;
use redirect::Next;

/// Fetches from origins, and keeps idle connections for later requests.
pub(crate) struct Fetcher {
    connector: Connector,
    idle: IdleConnections,
    user_agent: HeaderValue,
}

/// A response whose head has arrived.
pub(crate) struct Response<'f> {
    pub(crate) head: Head,
    pub(crate) body: Body<'f>,
}

/// Statistics of one attempt, which are also recorded if it fails.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct AttemptStats {
    /// The number of redirects that were followed.
    pub(crate) redirects: u32,
    /// How the last hop got its connection.
    pub(crate) phases: Phases,
}

/// Why an exchange has no response head.
enum ExchangeError {
    Connection(http1::Error),
    Timeout(Elapsed),
}

impl Fetcher {
    /// Creates a fetcher with the limits of `config`.
    pub(crate) fn new(config: &Config, policy: egress::Policy, user_agent: HeaderValue) -> Self {
        // As many idle connections as there may be in use.
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
            connector: Connector::new(policy, &config.origins),
            idle,
            user_agent,
        }
    }

    /// Sends `request` and follows redirects up to the head of the final response.
    pub(crate) async fn fetch(
        &self,
        request: &Request,
        clock: &Clock,
        stats: &mut AttemptStats,
    ) -> Result<Response<'_>, FetchError> {
        let max_redirects = request.options.max_redirects;
        let mut hop = Hop::new(request);
        *stats = AttemptStats::default();
        loop {
            let origin = hop.origin()?;
            let response = self.send(&hop, &origin, request, clock, stats).await?;
            let is_reused = stats.phases.is_reused;
            match hop.next(&response.head, stats.redirects, max_redirects)? {
                Next::Redirect(next) => {
                    if self.idle.discard(response.body, origin, is_reused).await {
                        // The response may belong to another request. The origin is now
                        // quarantined, so a second request gets a new connection.
                        if !hop.is_idempotent() {
                            return Err(error::out_of_sync());
                        }
                        continue;
                    }
                    hop = *next;
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

    /// Sends the request of one hop, on an idle connection if there is one.
    ///
    /// The origin may close an idle connection just before the request is written. This
    /// is not an error of the request, so it is sent again on another connection unless
    /// the origin may have processed it.
    async fn send(
        &self,
        hop: &Hop<'_>,
        origin: &Origin,
        request: &Request,
        clock: &Clock,
        stats: &mut AttemptStats,
    ) -> Result<http1::Response<OriginStream>, FetchError> {
        let mut idle = self.idle.take(origin, hop.is_idempotent());
        loop {
            let is_reused = idle.is_some();
            let mut connection = match idle.take() {
                Some(connection) => {
                    stats.phases = Phases {
                        is_reused,
                        ..Phases::default()
                    };
                    connection
                }
                // Boxed because the future is large and rarely needed.
                None => Box::pin(self.connect(hop, request, clock, stats)).await?,
            };
            let error = match self.exchange(&mut connection, hop, clock).await {
                Ok(parsed) => return Ok(connection.into_response(parsed)),
                Err(error) => error,
            };
            let can_resend = connection.can_resend(hop.is_idempotent());
            if !is_reused || !self.resends(origin, hop, &error, can_resend) {
                return Err(error.into());
            }
        }
    }

    /// Records the failure of a reused connection to `origin`, and returns true if the
    /// request is sent again on a new connection.
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
            // The malformed bytes may be the rest of another response.
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
    ) -> Result<Connection<OriginStream>, FetchError> {
        let timeout = request.options.connect_timeout;
        while self.connector.sockets().is_exhausted() && self.idle.evict_oldest() {}
        let mut progress = Progress::new();
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

    /// Writes the request of `hop` and waits for the head of its response.
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
                    // The origin is not idle while it reads the request.
                    Some(written) if written > idle_since && passed.is_idle() => {
                        idle_since = written;
                    }
                    _ => return Err(ExchangeError::Timeout(passed)),
                },
            }
        }
    }
}

/// Returns the final response, whose body is decoded unless the caller wants it raw.
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
