//! One attempt at one request: redirects, clocks, and the body in parts.
//!
//! [`Fetcher::open`] answers with the head of the final response; its
//! [`Body`] is then read part by part, so that a body of any size passes
//! through with one part in memory. The connection of a body that was read to
//! its end is kept for the next request to the same origin; dropping either
//! closes it.

mod body;
mod fault;
mod hop;

use http::HeaderValue;
use tokio::time::{self, Instant};

use crate::{
    clock::Clock,
    config::Config,
    connect::{self, Connector, Keep, OriginStream, Pool, Progress, Quiet},
    decode::Decoder,
    egress,
    http1::{self, After, Connection, Incoming},
    request::Request,
    response::{FetchError, Head, Phases},
};
pub(crate) use body::{Body, BodyEnd};
use hop::{Hop, Next};

/// Fetches from origins, over connections that it keeps for the next request.
pub(crate) struct Fetcher {
    connector: Connector,
    idle: Idle,
    user_agent: HeaderValue,
}

/// A response whose head is there.
pub(crate) struct Opened<'f> {
    pub(crate) head: Head,
    pub(crate) body: Body<'f>,
}

/// How one attempt went, also if it failed.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Trace {
    /// How many redirects were followed.
    pub(crate) redirects: u32,
    /// How the last hop got its connection.
    pub(crate) phases: Phases,
}

/// Connections that wait for their next request.
struct Idle(Pool<Connection<OriginStream>>);

impl Fetcher {
    /// A fetcher within the limits of `config`.
    pub(crate) fn new(config: &Config, policy: egress::Policy, user_agent: HeaderValue) -> Self {
        // As many as may be in use, so that at most twice as many are open.
        let total = config.limits.max_in_flight as usize;
        let per_host = config.limits.max_per_host as usize;
        let idle = Pool::new(connect::Limits {
            total,
            per_origin: if per_host == 0 { total } else { per_host },
            idle: config.origins.pool_idle_timeout,
        });
        Self {
            connector: Connector::new(policy, &config.origins),
            idle: Idle(idle),
            user_agent,
        }
    }

    /// Sends `request` and follows redirects to the head of the final
    /// response.
    pub(crate) async fn open(
        &self,
        request: &Request,
        clock: &Clock,
        trace: &mut Trace,
    ) -> Result<Opened<'_>, FetchError> {
        let mut hop = Hop::first(request);
        *trace = Trace::default();
        loop {
            let origin = hop.origin()?;
            let response = self.send(&hop, &origin, request, clock, trace).await?;
            match hop.next(
                &response.head,
                trace.redirects,
                request.options.max_redirects,
            )? {
                Next::Redirect(next) => {
                    let is_reused = trace.phases.is_reused;
                    if self.idle.discard(response.body, origin, is_reused).await {
                        // The response may be to another request. A connection of
                        // this origin is not used again.
                        if !hop.is_idempotent() {
                            return Err(fault::doubtful());
                        }
                        continue;
                    }
                    hop = *next;
                    trace.redirects += 1;
                }
                Next::Final => {
                    let is_reused = trace.phases.is_reused;
                    return Ok(self.opened(hop, request, origin, response, is_reused));
                }
            }
        }
    }

    /// Sends one hop, on a kept connection if there is one.
    ///
    /// A kept connection may end just as the request is written to it, which is
    /// no fault of the request: it goes out again at once on a new connection,
    /// unless the origin may have acted on it.
    async fn send(
        &self,
        hop: &Hop<'_>,
        origin: &connect::Origin,
        request: &Request,
        clock: &Clock,
        trace: &mut Trace,
    ) -> Result<http1::Response<OriginStream>, FetchError> {
        let mut kept = if hop.is_idempotent() {
            self.idle.0.take(origin)
        } else {
            self.idle.0.take_proven(origin)
        };
        loop {
            let is_reused = kept.is_some();
            let mut connection = match kept.take() {
                Some(kept) => {
                    trace.phases = Phases {
                        is_reused,
                        ..Phases::default()
                    };
                    kept
                }
                // Boxed, since it is large, and not there most of the time.
                None => Box::pin(self.connect(hop, request, clock, trace)).await?,
            };
            match self.exchange(&mut connection, hop, clock).await {
                Ok(parsed) => return Ok(connection.respond(parsed)),
                Err(Unanswered::Broken(_))
                    if is_reused && connection.can_be_repeated(hop.is_idempotent()) =>
                {
                    self.idle.0.broke(origin);
                }
                // Bytes that are no response may be the rest of another.
                Err(Unanswered::Broken(error @ http1::Error::Malformed(_))) if is_reused => {
                    self.idle.0.distrust(origin);
                    if !hop.is_idempotent() {
                        return Err(Unanswered::Broken(error).into());
                    }
                }
                Err(error) => {
                    if is_reused {
                        self.idle.0.broke(origin);
                    }
                    return Err(error.into());
                }
            }
        }
    }

    async fn connect(
        &self,
        hop: &Hop<'_>,
        request: &Request,
        clock: &Clock,
        trace: &mut Trace,
    ) -> Result<Connection<OriginStream>, FetchError> {
        let timeout = request.options.connect_timeout;
        while self.connector.sockets().are_used_up() && self.idle.0.evict() {}
        let mut progress = Progress::new();
        let connecting = self.connector.connect(&hop.uri, &mut progress);
        let connected = clock.total(time::timeout(timeout, connecting)).await;
        trace.phases = progress.phases;
        match connected {
            Ok(Ok(Ok(stream))) => Ok(Connection::new(stream)),
            Ok(Ok(Err(error))) => Err(fault::unconnected(&error)),
            Ok(Err(_)) => Err(fault::connect_timeout(timeout, progress.stage)),
            Err(passed) => Err(fault::unconnected_in_time(passed, progress.stage)),
        }
    }

    /// Writes the request of `hop`, and waits for the head of its response.
    async fn exchange(
        &self,
        connection: &mut Connection<OriginStream>,
        hop: &Hop<'_>,
        clock: &Clock,
    ) -> Result<http1::Parsed, Unanswered> {
        connection.begin(hop.outline(), |head| {
            hop.write_head(&self.user_agent, head);
        });
        let mut since = Instant::now();
        loop {
            match clock.idle_since(since, connection.exchange()).await {
                Ok(answer) => return answer.map_err(Unanswered::Broken),
                Err(passed) => match connection.last_written() {
                    // An upload that moves is no silence.
                    Some(written) if written > since && passed.is_idle() => since = written,
                    _ => return Err(Unanswered::Late(passed)),
                },
            }
        }
    }

    fn opened(
        &self,
        hop: Hop<'_>,
        request: &Request,
        origin: connect::Origin,
        response: http1::Response<OriginStream>,
        is_reused: bool,
    ) -> Opened<'_> {
        let http1::Response { mut head, body } = response;
        let decoder = if hop.is_raw() || body.is_over() {
            Ok(None)
        } else {
            Decoder::of(&head.headers)
        };
        if let Ok(Some(_)) = decoder {
            head.headers.remove(&["content-encoding", "content-length"]);
        }
        let (decoder, failed) = match decoder {
            Ok(decoder) => (decoder, None),
            Err(error) => (None, Some(fault::undecodable(&error))),
        };
        let connection = body::Link {
            incoming: body,
            origin,
            idle: &self.idle,
            is_reused,
        };
        let mut body = Body::new(connection, decoder, &request.options);
        if let Some(error) = failed {
            body.fail(error);
        }
        Opened {
            head: Head {
                status: head.status,
                headers: head.headers,
                url: hop.uri,
                version: head.version,
            },
            body,
        }
    }
}

/// Why a connection gave no head.
enum Unanswered {
    Broken(http1::Error),
    Late(crate::clock::Elapsed),
}

impl From<Unanswered> for FetchError {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Broken(error) => fault::broken(&error, "the response head"),
            Unanswered::Late(passed) => fault::late_head(passed),
        }
    }
}

impl Idle {
    /// Keeps the connection of a response that came to its end, if it can carry
    /// another. Returns true if the origin sent more than the response.
    fn settle(&self, body: Incoming<OriginStream>, origin: connect::Origin) -> bool {
        match body.finish() {
            After::Reusable(mut connection) => {
                if !has_surplus(&mut connection) {
                    self.0.put(origin, connection);
                    return false;
                }
            }
            After::Surplus => {}
            After::Closed => return false,
        }
        self.0.distrust(&origin);
        true
    }

    /// The same for a response whose body is not wanted: it is not waited for.
    /// Returns true if the response may not be to its request.
    async fn discard(
        &self,
        mut body: Incoming<OriginStream>,
        origin: connect::Origin,
        is_reused: bool,
    ) -> bool {
        // No more than one read brought.
        if body.take_buffered(&mut Vec::new(), usize::MAX).is_err() {
            return false;
        }
        if is_reused && body.exchanges() == 2 && body.is_over() {
            time::sleep(body::PROBATION).await;
        }
        self.settle(body, origin) && is_reused
    }
}

/// Whether a connection has more to read right after a response, which may then be
/// the answer to an earlier request. Asked after its first few reuses alone, since
/// it costs a system call: an origin that is out of step is so from the beginning.
fn has_surplus(connection: &mut Connection<OriginStream>) -> bool {
    const FIRST: std::ops::RangeInclusive<u32> = 2..=5;

    FIRST.contains(&connection.exchanges()) && connection.quiet() == Quiet::Unasked
}

impl Keep for Connection<OriginStream> {
    fn quiet(&mut self) -> Quiet {
        self.stream_mut().quiet()
    }

    fn was_reused(&self) -> bool {
        self.exchanges() > 1
    }
}
