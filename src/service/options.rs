//! Reads batch and request options.

use std::time::Duration;

use crate::{
    config::Config,
    proto,
    request::{InvalidRequest, Options, Overflow},
};

/// Returns `base`, overridden by every field set in `message`. The result never exceeds
/// the limits in `config`.
pub(super) fn merged(
    message: &proto::FetchOptions,
    base: Options,
    config: &Config,
) -> Result<Options, InvalidRequest> {
    let timeout = duration("timeout", message.timeout.as_ref())?;
    let idle_timeout = duration("idle_timeout", message.idle_timeout.as_ref())?;
    let connect_timeout = duration("connect_timeout", message.connect_timeout.as_ref())?;
    let merged = Options {
        timeout: timeout.unwrap_or(base.timeout),
        idle_timeout: idle_timeout.unwrap_or(base.idle_timeout),
        connect_timeout: connect_timeout.unwrap_or(base.connect_timeout),
        max_redirects: message.max_redirects.unwrap_or(base.max_redirects),
        max_body_bytes: message.max_body_bytes.unwrap_or(base.max_body_bytes),
        body_overflow: overflow(message.body_overflow)?.unwrap_or(base.body_overflow),
        max_attempts: attempts(message.max_attempts)?.unwrap_or(base.max_attempts),
    };
    Ok(merged.lowered_to(&config.request_limits))
}

/// Returns the duration in `field`, if it's set. Fails if it isn't a valid duration
/// greater than 0.
pub(super) fn duration(
    field: &'static str,
    value: Option<&prost_types::Duration>,
) -> Result<Option<Duration>, InvalidRequest> {
    let Some(value) = value else {
        return Ok(None);
    };
    match (u64::try_from(value.seconds), u32::try_from(value.nanos)) {
        (Ok(seconds), Ok(nanos @ ..1_000_000_000)) if (seconds, nanos) != (0, 0) => {
            Ok(Some(Duration::new(seconds, nanos)))
        }
        _ => {
            let problem = format!(
                "expected a duration greater than 0s, with 0 to 999999999 nanos, got {} \
                 seconds and {} nanos",
                value.seconds, value.nanos
            );
            Err(InvalidRequest::new(field, problem))
        }
    }
}

fn attempts(value: Option<u32>) -> Result<Option<u32>, InvalidRequest> {
    match value {
        Some(0) => Err(InvalidRequest::new(
            "max_attempts",
            "expected at least 1, which means no retry, got 0",
        )),
        attempts => Ok(attempts),
    }
}

fn overflow(value: i32) -> Result<Option<Overflow>, InvalidRequest> {
    match proto::BodyOverflow::try_from(value) {
        Ok(proto::BodyOverflow::Unspecified) => Ok(None),
        Ok(proto::BodyOverflow::Fail) => Ok(Some(Overflow::Fail)),
        Ok(proto::BodyOverflow::Truncate) => Ok(Some(Overflow::Truncate)),
        Err(_) => {
            let problem = format!("expected 0, 1 or 2, got {value}");
            Err(InvalidRequest::new("body_overflow", problem))
        }
    }
}
