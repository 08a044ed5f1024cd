//! Everything we know about a call before we read its message.

use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{Span, field};

use super::outbox::Outbox;
use crate::{
    caller::{Caller, Identity, Peer},
    request::BatchId,
    telemetry::{BatchSpan, CallInfo, TraceParent, Tracer},
};

/// A `FetchBatch` call, as described by its headers and its connection.
pub(crate) struct CallContext {
    /// The ID of the call's batch, even if there won't be one.
    pub(super) id: BatchId,
    /// The parent of everything we log about the call.
    pub(super) span: Span,
    /// When the headers arrived. All waits and deadlines start from here.
    pub(super) arrival: Instant,
    peer: Peer,
    pub(super) identity: Identity,
    headers: CallHeaders,
    /// Cancels the call. This works even if the caller isn't reading.
    pub(super) cut: CancellationToken,
    /// The connection's outbox.
    pub(super) outbox: Outbox,
}

/// The headers we care about.
#[derive(Debug, Clone, Default)]
pub(crate) struct CallHeaders {
    /// From `grpc-timeout`. The call's deadline is this long after its arrival.
    timeout: Option<Duration>,
    /// The caller's span.
    parent: Option<TraceParent>,
}

impl CallContext {
    /// Creates the context of a call whose headers arrived at `arrival`.
    pub(crate) fn new(
        arrival: Instant,
        peer: Peer,
        identity: Identity,
        headers: CallHeaders,
        cut: CancellationToken,
        outbox: Outbox,
    ) -> Self {
        let id = BatchId::random();
        // At this level, it's there whatever the level of the log is.
        let span = tracing::error_span!(
            "call",
            batch = %id,
            peer = peer.address().map(field::display),
            caller = Some(&identity)
                .filter(|identity| !identity.is_self())
                .map(field::display),
            trace_id = field::Empty,
        );
        Self {
            id,
            span,
            arrival,
            peer,
            identity,
            headers,
            cut,
            outbox,
        }
    }

    /// Decides whether the call is traced. If so, returns its span. From here on, log lines
    /// name the trace that the call belongs to, which may be one of its caller only.
    pub(super) fn start_trace(&self, tracer: Option<&Tracer>) -> Option<BatchSpan> {
        let parent = self.headers.parent.as_ref();
        let info = CallInfo {
            arrival: self.arrival,
            batch: self.id,
            peer: self.peer.address(),
            caller: self.identity.token_name(),
        };
        let trace = tracer.and_then(|tracer| tracer.batch(parent, &info));
        let trace_id = trace.as_ref().map(BatchSpan::trace_id);
        let trace_id = trace_id.or_else(|| parent.map(TraceParent::trace_id));
        self.span.record("trace_id", trace_id.map(field::display));
        trace
    }

    /// Returns who the call's limits and shares are counted for.
    pub(super) fn caller(&self) -> Caller {
        self.identity.caller
    }

    /// Returns the call's deadline, if the caller set one.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.arrival.checked_add(self.headers.timeout?)
    }

    /// Returns when the batch must end. This is a bit earlier than the call's deadline,
    /// so that the results of unfinished requests still reach the caller in time.
    pub(super) fn batch_deadline(&self) -> Option<Instant> {
        let timeout = self.headers.timeout?;
        self.arrival
            .checked_add(timeout.saturating_sub(margin(timeout)))
    }
}

impl CallHeaders {
    /// Reads the headers. We ignore invalid values.
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let text = |name| headers.get(name)?.to_str().ok();
        Self {
            timeout: text("grpc-timeout").and_then(parse_timeout),
            parent: TraceParent::read(headers),
        }
    }
}

/// Parses a `grpc-timeout`: up to 8 digits, followed by a unit.
fn parse_timeout(value: &str) -> Option<Duration> {
    let (digits, unit) = value.split_at_checked(value.len().checked_sub(1)?)?;
    if digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_hours(count)),
        "M" => Some(Duration::from_mins(count)),
        "S" => Some(Duration::from_secs(count)),
        "m" => Some(Duration::from_millis(count)),
        "u" => Some(Duration::from_micros(count)),
        "n" => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Returns how much earlier a batch ends than its call's deadline. We use a tenth of the
/// timeout, between 20 ms and 1 s, but never more than the timeout itself.
fn margin(timeout: Duration) -> Duration {
    /// Enough to build and send a message.
    const MIN: Duration = Duration::from_millis(20);
    const MAX: Duration = Duration::from_secs(1);

    (timeout / 10).clamp(MIN, MAX).min(timeout)
}

#[cfg(any(test, feature = "internals"))]
impl CallContext {
    /// A call from the process itself, without any headers.
    pub(super) fn local() -> Self {
        Self::new(
            Instant::now(),
            Peer::Local,
            Peer::Local.into(),
            CallHeaders::default(),
            CancellationToken::new(),
            Outbox::default(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &'static str, value: &'static str) -> CallHeaders {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        CallHeaders::read(&headers)
    }

    #[test]
    fn timeout_is_digits_and_a_unit() {
        let timeout = |value| read("grpc-timeout", value).timeout;
        assert_eq!(timeout("2S"), Some(Duration::from_secs(2)));
        assert_eq!(timeout("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(timeout("1500m"), Some(Duration::from_millis(1500)));
        for value in ["", "S", "2", "2x", "-2S", "+2S", "123456789S"] {
            assert_eq!(timeout(value), None, "{value}");
        }
    }

    #[test]
    fn margin_is_a_tenth_within_bounds() {
        let margins = [5, 100, 2000, 60_000].map(|ms| margin(Duration::from_millis(ms)));
        let expected = [5, 20, 200, 1000].map(Duration::from_millis);
        assert_eq!(margins, expected);
    }

    #[test]
    fn batch_ends_before_the_deadline_of_its_call() {
        let mut context = CallContext::local();
        assert!(context.deadline().is_none() && context.batch_deadline().is_none());
        context.headers = read("grpc-timeout", "2S");
        let margin = context.deadline().unwrap() - context.batch_deadline().unwrap();
        assert_eq!(margin, Duration::from_millis(200));
    }
}
