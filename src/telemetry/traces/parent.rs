//! The caller's span, as in W3C Trace Context.

use std::str::FromStr;

use http::{HeaderMap, HeaderName, HeaderValue, header::AsHeaderName};
use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

/// The caller's span: a valid `traceparent` header, and `tracestate` if there's one.
#[derive(Debug, Clone)]
pub(crate) struct TraceParent(SpanContext);

/// Longer trace states are dropped. Everyone has to pass on this many bytes; more are
/// optional (W3C Trace Context, 3.3.1.5).
const MAX_STATE: usize = 512;

impl TraceParent {
    /// Reads the headers. Anything that isn't valid counts as missing.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let traceparent = only(headers, "traceparent")?;
        let (trace_id, span_id, flags) = parse(traceparent.to_str().ok()?)?;
        let state = state(headers).unwrap_or_default();
        Some(Self(SpanContext::new(
            trace_id, span_id, flags, true, state,
        )))
    }

    /// Returns the ID of the caller's trace.
    pub(crate) fn trace_id(&self) -> TraceId {
        self.0.trace_id()
    }

    pub(super) fn context(&self) -> &SpanContext {
        &self.0
    }
}

/// Returns the header's value, unless there's more than one.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).into_iter();
    values.next().filter(|_| values.next().is_none())
}

/// Parses `VERSION-TRACE_ID-SPAN_ID-FLAGS`. A later version may have more fields.
fn parse(traceparent: &str) -> Option<(TraceId, SpanId, TraceFlags)> {
    let mut fields = traceparent.split('-');
    let version = hex::<2>(fields.next()?)?;
    let trace_id = TraceId::from_hex(hex::<32>(fields.next()?)?).ok()?;
    let span_id = SpanId::from_hex(hex::<16>(fields.next()?)?).ok()?;
    let flags = u8::from_str_radix(hex::<2>(fields.next()?)?, 16).ok()?;
    let is_valid = version != "ff" && (version != "00" || fields.next().is_none());
    let has_ids = trace_id != TraceId::INVALID && span_id != SpanId::INVALID;
    let flags = TraceFlags::new(flags) & TraceFlags::SAMPLED;
    (is_valid && has_ids).then_some((trace_id, span_id, flags))
}

/// Returns `field` if it has this many digits, all of them in lower case.
fn hex<const DIGITS: usize>(field: &str) -> Option<&str> {
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    (field.len() == DIGITS && field.bytes().all(is_digit)).then_some(field)
}

/// Returns the trace state. It may be spread over several header lines.
fn state(headers: &HeaderMap) -> Option<TraceState> {
    let name = HeaderName::from_static("tracestate");
    let mut lines = Vec::new();
    for line in headers.get_all(name) {
        lines.push(line.to_str().ok()?);
    }
    let text = lines.join(",");
    (text.len() <= MAX_STATE).then(|| TraceState::from_str(&text).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn read(lines: &[(&'static str, &str)]) -> Option<TraceParent> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        TraceParent::read(&headers)
    }

    #[test]
    fn ids_and_flags_are_read() {
        let parent = read(&[("traceparent", VALID)]).unwrap();
        let context = parent.context();
        assert_eq!(parent.trace_id().to_string(), VALID[3..35]);
        assert_eq!(context.span_id().to_string(), VALID[36..52]);
        assert!(context.is_sampled() && context.is_remote());
        let unsampled = VALID.replace("-01", "-00");
        let parent = read(&[("traceparent", &unsampled)]).unwrap();
        assert!(!parent.context().is_sampled());
        // Later versions may add fields, and flags that we don't know.
        let later = VALID.replace("00-", "01-").replace("-01", "-ff-more");
        assert!(
            read(&[("traceparent", &later)])
                .unwrap()
                .context()
                .is_sampled()
        );
    }

    #[test]
    fn invalid_headers_count_as_missing() {
        let zeros = |count| "0".repeat(count);
        for invalid in [
            String::new(),
            "00".to_owned(),
            VALID.replace("00-", "ff-"),
            VALID.replace("00-", "0-"),
            VALID.replace("0af7", "0AF7"),
            VALID.replace("0af7", "+af7"),
            VALID.replace("0af7", "0af"),
            VALID.replace(&VALID[3..35], &zeros(32)),
            VALID.replace(&VALID[36..52], &zeros(16)),
            VALID.replace("-01", ""),
            VALID.replace("-01", "-1"),
            format!("{VALID}-more"),
            format!("{VALID} "),
        ] {
            let headers = [("traceparent", &*invalid)];
            // A header value loses the white space around it on the wire, but not here.
            assert!(read(&headers).is_none(), "{invalid:?}");
        }
        assert!(read(&[("traceparent", VALID), ("traceparent", VALID)]).is_none());
    }

    #[test]
    fn state_is_read_from_all_lines() {
        let state = |lines: &[&str]| {
            let mut headers = vec![("traceparent", VALID)];
            headers.extend(lines.iter().map(|line| ("tracestate", *line)));
            let parent = read(&headers).expect("it doesn't depend on the state");
            parent.context().trace_state().header()
        };
        assert_eq!(state(&["a=1,b=2", "c=3"]), "a=1,b=2,c=3");
        assert_eq!(state(&[]), "");
        assert_eq!(state(&["no state"]), "");
        assert_eq!(state(&[&format!("a={}", "x".repeat(MAX_STATE))]), "");
    }
}
