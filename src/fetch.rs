//! One attempt at one request: redirects, clocks, and the body in parts.
//!
//! [`Fetcher::open`] answers with the head of the final response; its
//! [`Body`] is then read part by part, so that a body of any size passes
//! through with one part in memory. Dropping either closes the connection.

mod body;
mod fault;
mod hop;
mod upload;

use http::{HeaderValue, StatusCode, header};
use hyper::{
    Response,
    body::{Body as _, Incoming},
};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{CaptureConnection, capture_connection},
    },
    rt::{TokioExecutor, TokioTimer},
};
use tokio::time::Instant;

use crate::{
    clock::{Clock, Passed},
    config::Config,
    connect::{Connector, Dial},
    decode::Decoder,
    egress,
    request::Request,
    response::{FetchError, Head},
};
pub(crate) use body::{Body, BodyEnd};
use hop::{Hop, Next};
use upload::Upload;

/// Fetches from origins, over connections that it keeps for the next request.
pub(crate) struct Fetcher {
    http: Client<Connector, Upload>,
    connector: Connector,
    /// With more open connections than this, none is kept for the next request.
    most_open: usize,
    user_agent: HeaderValue,
}

/// A response whose head is there.
pub(crate) struct Opened {
    pub(crate) head: Head,
    pub(crate) body: Body,
}

/// What was waited for when a clock passed.
enum Late {
    Connection(Passed),
    Head(Passed),
}

/// The largest head of a response, and hyper's largest read buffer.
const MAX_HEAD: usize = 64 << 10;

/// How often one attempt goes out again because a connection closed before
/// anything was written to it.
const MAX_GIVEN_BACK: u32 = 3;

impl Fetcher {
    /// A fetcher within the limits of `config`.
    pub(crate) fn new(config: &Config, policy: egress::Policy, user_agent: HeaderValue) -> Self {
        let connector = Connector::new(policy, &config.origins);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(config.origins.pool_idle_timeout)
            .http1_max_buf_size(MAX_HEAD)
            // Attempts are counted here, and repeated by `schedule` alone.
            .retry_canceled_requests(false)
            .build(connector.clone());
        Self {
            http,
            connector,
            most_open: 2 * config.limits.max_in_flight as usize,
            user_agent,
        }
    }

    /// Sends `request` and follows redirects to the head of the final
    /// response. `redirects` counts them, also where this fails.
    pub(crate) async fn open(
        &self,
        request: &Request,
        clock: &Clock,
        redirects: &mut u32,
    ) -> Result<Opened, FetchError> {
        let mut hop = Hop::first(request);
        *redirects = 0;
        loop {
            let response = self.send(&hop, request, clock).await?;
            match hop.next(&response, *redirects, request.options.max_redirects)? {
                Next::Redirect(next) => {
                    hop = *next;
                    *redirects += 1;
                }
                Next::Final => return Ok(opened(&hop, request, response)),
            }
        }
    }

    async fn send(
        &self,
        hop: &Hop<'_>,
        request: &Request,
        clock: &Clock,
    ) -> Result<Response<Incoming>, FetchError> {
        let mut given_back = 0;
        loop {
            let dial = Dial::new(request.options.connect_timeout);
            let upload = Upload::new(hop.body.clone());
            let mut message = hop.message(upload.clone(), &self.user_agent);
            if self.connector.open_connections() > self.most_open {
                let close = HeaderValue::from_static("close");
                message.headers_mut().insert(header::CONNECTION, close);
            }
            let connection = capture_connection(&mut message);
            let answer = tokio::select! {
                biased;
                answer = dial.scope(self.http.request(message)) => answer,
                late = silence(connection, &upload, clock) => {
                    return Err(match late {
                        Late::Connection(passed) => fault::unconnected_in_time(passed, dial.stage()),
                        Late::Head(passed) => fault::late_head(passed),
                    });
                }
            };
            match answer {
                Ok(response) if head_size(&response) > MAX_HEAD => {
                    return Err(fault::large_head(MAX_HEAD));
                }
                Ok(response) if response.status() == StatusCode::SWITCHING_PROTOCOLS => {
                    return Err(fault::unasked_upgrade());
                }
                Ok(response) if has_unknown_transfer(&response) => {
                    return Err(fault::unknown_transfer());
                }
                Ok(response) => return Ok(response),
                // An idle connection closed before anything was written to it:
                // the same attempt goes out again on another.
                Err(error) if fault::was_given_back(&error) && given_back < MAX_GIVEN_BACK => {
                    given_back += 1;
                }
                Err(error) => return Err(fault::unanswered(&error)),
            }
        }
    }
}

/// Ends when the origin was silent for too long after the request went to a
/// connection, or the total passed. Connecting has a limit of its own, and an
/// upload that moves is no silence.
async fn silence(mut connection: CaptureConnection, upload: &Upload, clock: &Clock) -> Late {
    let connected = connection.wait_for_connection_metadata();
    if let Err(passed) = clock.total(connected).await {
        return Late::Connection(passed);
    }
    let mut since = Instant::now();
    loop {
        let passed = clock.wait_since(since).await;
        match upload.last_taken() {
            Some(taken) if taken > since && matches!(passed, Passed::Idle(_)) => since = taken,
            _ => return Late::Head(passed),
        }
    }
}

/// Whether the body is in a transfer coding that was not asked for.
fn has_unknown_transfer<B>(response: &Response<B>) -> bool {
    let codings = response.headers().get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"chunked");
    codings.into_iter().any(|value| !is_chunked(value))
}

/// About how many bytes the head has: names, values, and their framing.
fn head_size<B>(response: &Response<B>) -> usize {
    const FRAMING: usize = ": \r\n".len();

    let lines = response.headers().iter();
    let sizes = lines.map(|(name, value)| name.as_str().len() + value.len() + FRAMING);
    sizes.sum()
}

fn opened(hop: &Hop<'_>, request: &Request, response: Response<Incoming>) -> Opened {
    let (mut parts, incoming) = response.into_parts();
    let decoder = if hop.is_raw() || incoming.is_end_stream() {
        Ok(None)
    } else {
        Decoder::of(&parts.headers)
    };
    let body = match decoder {
        Ok(decoder) => {
            if decoder.is_some() {
                parts.headers.remove(header::CONTENT_ENCODING);
                parts.headers.remove(header::CONTENT_LENGTH);
            }
            Body::new(incoming, decoder, &request.options)
        }
        Err(error) => Body::failed(incoming, fault::undecodable(&error), &request.options),
    };
    Opened {
        head: Head {
            status: parts.status,
            headers: parts.headers,
            url: hop.url(),
            version: parts.version,
        },
        body,
    }
}
