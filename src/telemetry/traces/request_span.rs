//! The span of a request, with an event for everything that happens to it.

use std::{borrow::Cow, fmt::Display, net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, StatusCode, Uri, Version};
use opentelemetry::{
    KeyValue,
    trace::{Event, Status},
};
use opentelemetry_sdk::trace::{IdGenerator, SpanData};
use tokio::time::Instant;

use super::{
    batch_span::BatchTrace,
    queue::Place,
    text::{self, clipped},
};
use crate::{
    request::Request,
    response::{End, FetchError, Head},
};

/// Records what happens to a request, if it's traced.
///
/// When it's dropped, the span is handed to the exporter. A span without an end is that of a
/// request whose caller has left.
#[derive(Default)]
pub(crate) struct RequestTrace(Option<Box<RequestSpan>>);

struct RequestSpan {
    batch: Arc<BatchTrace>,
    data: SpanData,
    /// How many of the attributes describe the request. The others describe its end.
    fixed_attributes: usize,
    status: Option<StatusCode>,
    version: Option<Version>,
    is_ended: bool,
    place: Place,
}

/// The maximum number of events in a span. Later ones are only counted.
const MAX_EVENTS: usize = 64;

impl BatchTrace {
    /// Starts the span of the request at `index`, which is first dispatched at `start`.
    pub(crate) fn request(
        self: &Arc<Self>,
        index: u32,
        request: &Request,
        start: Instant,
    ) -> RequestTrace {
        let mut trace = self.start(index, start);
        trace.describe(request);
        trace
    }

    /// Exports the span of a request that ended without having been dispatched, which may be
    /// one that can't be decoded. It begins when the batch arrived.
    pub(crate) fn undispatched(
        self: &Arc<Self>,
        index: u32,
        request: impl FnOnce() -> Option<Request>,
        end: &End,
    ) {
        let mut trace = self.start(index, self.timeline.instant);
        // Decoding it again takes a while, so only do it if there's a span.
        if trace.0.is_some()
            && let Some(request) = request()
        {
            trace.describe(&request);
        }
        trace.end(end);
    }

    fn start(self: &Arc<Self>, index: u32, start: Instant) -> RequestTrace {
        let queue = &self.tracer.0.queue;
        if !self.has_span {
            queue.count_dropped(1);
            return RequestTrace::default();
        }
        let Some(place) = queue.enter() else {
            return RequestTrace::default();
        };
        let mut data = self.span(self.tracer.0.ids.new_span_id(), start);
        data.name = "HTTP".into();
        let index = KeyValue::new("fetchd.request.index", i64::from(index));
        data.attributes.push(index);
        RequestTrace(Some(Box::new(RequestSpan {
            batch: Arc::clone(self),
            fixed_attributes: data.attributes.len(),
            data,
            status: None,
            version: None,
            is_ended: false,
            place,
        })))
    }
}

impl RequestTrace {
    fn describe(&mut self, request: &Request) {
        if let Some(span) = &mut self.0 {
            span.describe(request);
        }
    }

    /// Records that an attempt has begun, after the request waited for a slot.
    pub(crate) fn attempt(&mut self, number: u32, waited: Duration) {
        self.event("attempt", || {
            [
                KeyValue::new("fetchd.attempt", i64::from(number)),
                KeyValue::new("fetchd.queued", waited.as_secs_f64()),
            ]
        });
    }

    /// Records that a kept connection is used.
    pub(crate) fn reused(&mut self) {
        self.event("connection reused", || []);
    }

    /// Records that the host's name was looked up.
    pub(crate) fn resolved(&mut self, took: Duration) {
        self.event("dns", || [duration(took)]);
    }

    /// Records that a connection was opened. `peer` isn't known if there's a proxy.
    pub(crate) fn connected(&mut self, took: Duration, peer: impl FnOnce() -> Option<SocketAddr>) {
        self.event("connect", || {
            let peer = peer().map(|peer| {
                [
                    KeyValue::new("network.peer.address", peer.ip().to_string()),
                    KeyValue::new("network.peer.port", i64::from(peer.port())),
                ]
            });
            [duration(took)]
                .into_iter()
                .chain(peer.into_iter().flatten())
        });
    }

    /// Records the end of a TLS handshake.
    pub(crate) fn secured(&mut self, took: Duration) {
        self.event("tls", || [duration(took)]);
    }

    /// Records that the request is sent again on another connection, as the same attempt.
    pub(crate) fn resent(&mut self) {
        self.event("resend", || []);
    }

    /// Records the head of a redirect that's followed to `uri`.
    pub(crate) fn redirected(&mut self, status: StatusCode, uri: &Uri) {
        self.event("redirect", || {
            let url = text::event(text::url(uri));
            [status_code(status), KeyValue::new("url.full", url)]
        });
    }

    /// Records the head of a response that's not a redirect to follow.
    pub(crate) fn responded(&mut self, head: &Head) {
        if let Some(span) = &mut self.0 {
            span.status = Some(head.status);
            span.version = Some(head.version);
        }
        self.event("first byte", || [status_code(head.status)]);
    }

    /// Records that there'll be another attempt after `delay`. `cause` is the kind of
    /// failure, and `message` describes it.
    pub(crate) fn retried(&mut self, cause: &str, message: &dyn Display, delay: Duration) {
        self.event("retry", || {
            [
                KeyValue::new("error.type", cause.to_owned()),
                KeyValue::new("fetchd.message", text::event(message.to_string())),
                KeyValue::new("fetchd.delay", delay.as_secs_f64()),
            ]
        });
    }

    /// Records the end of the request. If there's another end after all, it counts instead.
    pub(crate) fn end(&mut self, end: &End) {
        if let Some(span) = &mut self.0 {
            span.end(end);
        }
    }

    fn event<A>(&mut self, name: &'static str, attributes: impl FnOnce() -> A)
    where
        A: IntoIterator<Item = KeyValue>,
    {
        let Some(span) = &mut self.0 else { return };
        let events = &mut span.data.events;
        if events.events.len() >= MAX_EVENTS {
            events.dropped_count += 1;
            return;
        }
        let time = span.batch.timeline.time(Instant::now());
        let attributes = attributes().into_iter().collect();
        events.events.push(Event::new(name, time, attributes, 0));
    }
}

impl RequestSpan {
    /// Adds what the caller asked for. Header values and bodies are never part of a span.
    fn describe(&mut self, request: &Request) {
        let attributes = &mut self.data.attributes;
        match known(&request.method) {
            Some(method) => {
                self.data.name = Cow::Borrowed(method);
                attributes.push(KeyValue::new("http.request.method", method));
            }
            None => attributes.extend([
                KeyValue::new("http.request.method", "_OTHER"),
                KeyValue::new(
                    "http.request.method_original",
                    request.method.as_str().to_owned(),
                ),
            ]),
        }
        let uri = &request.uri;
        let scheme = if uri.scheme_str() == Some("https") {
            "https"
        } else {
            "http"
        };
        let default_port = if scheme == "https" { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(default_port);
        let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        attributes.extend([
            KeyValue::new("url.full", text::url(uri)),
            KeyValue::new("url.scheme", scheme),
            KeyValue::new("server.address", clipped(host.to_owned())),
            KeyValue::new("server.port", i64::from(port)),
        ]);
        self.fixed_attributes = self.data.attributes.len();
    }

    fn end(&mut self, end: &End) {
        self.finish(error_type(end.error.as_ref(), self.status));
        if let Some(total) = end.timing.total {
            self.data.end_time = self.data.start_time + total;
        }
        let attributes = &mut self.data.attributes;
        attributes.extend([
            KeyValue::new("fetchd.queued", end.timing.queued.as_secs_f64()),
            KeyValue::new("fetchd.attempts", i64::from(end.attempts)),
            KeyValue::new("fetchd.redirects", i64::from(end.redirects)),
            KeyValue::new("fetchd.body_bytes", clamped(end.body_bytes)),
        ]);
        if end.attempts > 1 {
            let resends = i64::from(end.attempts - 1);
            attributes.push(KeyValue::new("http.request.resend_count", resends));
        }
        if let Some(error) = &end.error {
            self.data.status = Status::error(clipped(error.message.clone()));
        }
    }

    /// Sets the end to now. Replaces what an earlier end has added.
    fn finish(&mut self, error_type: Option<Cow<'static, str>>) {
        self.is_ended = true;
        self.data.end_time = self.batch.timeline.time(Instant::now());
        let attributes = &mut self.data.attributes;
        attributes.truncate(self.fixed_attributes);
        attributes.extend(self.status.map(status_code));
        let version = self.version.map(protocol_version);
        attributes
            .extend(version.map(|version| KeyValue::new("network.protocol.version", version)));
        self.data.status = Status::Unset;
        if let Some(error_type) = error_type {
            attributes.push(KeyValue::new("error.type", error_type));
            self.data.status = Status::error("");
        }
    }
}

impl Drop for RequestTrace {
    fn drop(&mut self) {
        let Some(mut span) = self.0.take() else {
            return;
        };
        if !span.is_ended {
            span.finish(Some("cancelled".into()));
        }
        span.batch.tracer.0.queue.add(span.data, span.place);
    }
}

/// Returns the reason of the error, or else the status if it's that of an error.
fn error_type(error: Option<&FetchError>, status: Option<StatusCode>) -> Option<Cow<'static, str>> {
    if let Some(error) = error {
        return Some(error.reason.as_str().into());
    }
    let status = status.filter(|status| status.is_client_error() || status.is_server_error());
    status.map(|status| status.as_str().to_owned().into())
}

/// Returns the name of a method that the conventions know. There could be any number of
/// others.
fn known(method: &Method) -> Option<&'static str> {
    const METHODS: [&str; 9] = [
        "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "QUERY",
    ];
    METHODS.into_iter().find(|known| *known == method.as_str())
}

fn status_code(status: StatusCode) -> KeyValue {
    KeyValue::new("http.response.status_code", i64::from(status.as_u16()))
}

fn duration(took: Duration) -> KeyValue {
    KeyValue::new("fetchd.duration", took.as_secs_f64())
}

fn protocol_version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        _ => "1.1",
    }
}

fn clamped(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}
