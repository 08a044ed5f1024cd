//! A property that must hold no matter which bytes a caller sends as its message.
//!
//! Both the random tests and the fuzzer check it. Messages are decoded by prost too, and
//! the rules for their values are repeated here in a different form on purpose: this way
//! a mistake in our reader gets noticed.

use std::{pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use prost::Message as _;

use super::{super::status, InvalidBatch, read};
use crate::{
    Code,
    config::{Config, RequestLimits},
    proto::{FetchBatchRequest, FetchOptions, FetchRequest},
    request::{Batch, Options, Overflow, Request},
    service::CallContext,
};

/// The maximum number of requests in a message. It's low, so that short messages can
/// exceed it.
const MAX_REQUESTS: u32 = 20;

/// Reads `message`, and decodes all of its requests.
///
/// Panics if the result differs from what prost decodes, if a message is refused for
/// another reason than its contents, or if reading never ends.
pub fn message_is_read_as_prost_decodes_it(message: &[u8]) {
    let config = Arc::new(config());
    let context = CallContext::local();
    let read = {
        let mut reading = pin!(read(Bytes::copy_from_slice(message), &context, &config));
        // It yields less often than once for each byte.
        let mut turns = 0..=message.len();
        turns
            .find_map(|_| reading.as_mut().now_or_never())
            .expect("reading ends")
    };
    if let Err(invalid) = &read {
        let status = status::invalid_argument(invalid);
        assert_eq!(Code::of(&status), Code::InvalidArgument, "{invalid}");
    }
    match (FetchBatchRequest::decode(message), read) {
        (Ok(decoded), Ok(batch)) => {
            let reasons = reasons_to_refuse(&decoded);
            assert!(reasons.is_empty(), "accepted in spite of {reasons:?}");
            assert_same_settings(&decoded, &batch, &context);
            assert_same_requests(&decoded, &batch, &config.request_limits);
        }
        (Ok(decoded), Err(InvalidBatch::Field { field, problem })) => {
            let mut reasons = reasons_to_refuse(&decoded).into_iter();
            let is_right = reasons.any(|reason| field.starts_with(reason));
            assert!(is_right, "{field}: {problem}");
        }
        (Ok(_), Err(malformed)) => panic!("prost accepts the message: {malformed}"),
        // We allow as deep a nesting as prost, but count it in another way.
        (Err(error), _) if error.to_string().contains("recursion limit") => {}
        (Err(error), Ok(_)) => panic!("prost refuses the message: {error}"),
        (Err(_), Err(InvalidBatch::Malformed(_))) => {}
        // We stop reading at the first request that's too many.
        (Err(_), Err(InvalidBatch::Field { field, .. })) => assert_eq!(field, "requests"),
    }
}

fn config() -> Config {
    let mut config = Config::default();
    config.limits.max_batch_requests = MAX_REQUESTS;
    config
}

/// Returns the fields for which a message has to be refused as a whole.
fn reasons_to_refuse(message: &FetchBatchRequest) -> Vec<&'static str> {
    if message.requests.len() > MAX_REQUESTS as usize {
        return vec!["requests"];
    }
    let options_are_valid = message.options.as_ref().is_none_or(are_valid);
    let mut reasons = Vec::new();
    reasons.extend((!options_are_valid).then_some("options."));
    reasons.extend((!is_valid(message.timeout)).then_some("timeout"));
    reasons
}

fn are_valid(options: &FetchOptions) -> bool {
    is_valid(options.timeout)
        && is_valid(options.idle_timeout)
        && is_valid(options.connect_timeout)
        && options.max_attempts != Some(0)
        && (0..=2).contains(&options.body_overflow)
}

/// Returns true if `value` isn't set, or if it's a normalized duration above zero.
fn is_valid(value: Option<prost_types::Duration>) -> bool {
    value.is_none_or(|value| {
        (0..1_000_000_000).contains(&value.nanos)
            && value.seconds >= 0
            && (value.seconds > 0 || value.nanos > 0)
    })
}

fn assert_same_settings(message: &FetchBatchRequest, batch: &Batch, context: &CallContext) {
    let concurrency = match message.concurrency {
        0 => 50,
        wanted => wanted.min(512),
    };
    assert_eq!(batch.concurrency, concurrency as usize);
    let timeout = message.timeout.map(duration);
    let deadline = timeout.and_then(|timeout| context.arrival.checked_add(timeout));
    assert_eq!(batch.deadline, deadline);
}

fn assert_same_requests(message: &FetchBatchRequest, batch: &Batch, limits: &RequestLimits) {
    assert_eq!(batch.requests.count() as usize, message.requests.len());
    let mut sendable = batch.requests.sendable().peekable();
    let mut refused = batch.requests.refused().peekable();
    let batch_options = message.options.unwrap_or_default();
    for (index, request) in (0..).zip(&message.requests) {
        let Some(expected) = decoded(request, &batch_options, limits) else {
            let (refused, _) = refused.next().expect("the request is refused");
            assert_eq!(refused, index);
            continue;
        };
        let request = sendable.next().expect("the request can be sent");
        assert_eq!(request.index(), index);
        let request = batch.requests.decode(request).expect("it can be decoded");
        assert_eq!(request.uri, expected.uri);
        assert_eq!(request.method, expected.method);
        assert_eq!(request.headers, expected.headers);
        assert_eq!(request.body, expected.body);
        assert_eq!(request.options, expected.options);
    }
    assert!(sendable.next().is_none() && refused.next().is_none());
}

/// Returns the request that we expect for `message`, or `None` if it can't be sent.
fn decoded(
    message: &FetchRequest,
    batch: &FetchOptions,
    limits: &RequestLimits,
) -> Option<Request> {
    let own = message.options.unwrap_or_default();
    if !are_valid(&own) || message.headers.len() > Request::MAX_HEADERS {
        return None;
    }
    let mut request = Request::new(&message.url, &message.method).ok()?;
    for header in &message.headers {
        request
            .add_header(&header.name, header.value.clone())
            .ok()?;
    }
    request.body = message.body.clone();
    request.options = options(&own, batch, limits);
    Some(request)
}

/// Returns the options of a request that sets its `own` in a batch with others.
fn options(own: &FetchOptions, batch: &FetchOptions, limits: &RequestLimits) -> Options {
    let time = |own: Option<_>, batch, default| {
        let timeout = own.or(batch).map_or(Duration::from_secs(default), duration);
        timeout.min(limits.max_timeout)
    };
    let redirects = own.max_redirects.or(batch.max_redirects).unwrap_or(10);
    let attempts = own.max_attempts.or(batch.max_attempts).unwrap_or(3);
    let body_bytes = own.max_body_bytes.or(batch.max_body_bytes);
    Options {
        timeout: time(own.timeout, batch.timeout, 30),
        idle_timeout: time(own.idle_timeout, batch.idle_timeout, 15),
        connect_timeout: time(own.connect_timeout, batch.connect_timeout, 5),
        max_redirects: redirects.min(20),
        max_body_bytes: body_bytes.unwrap_or(10 << 20).min(limits.max_body_bytes),
        body_overflow: match (own.body_overflow, batch.body_overflow) {
            (2, _) | (0, 2) => Overflow::Truncate,
            _ => Overflow::Fail,
        },
        max_attempts: attempts.min(10),
    }
}

/// Converts a duration that is valid.
#[allow(clippy::cast_sign_loss)]
fn duration(value: prost_types::Duration) -> Duration {
    Duration::new(value.seconds as u64, value.nanos as u32)
}
