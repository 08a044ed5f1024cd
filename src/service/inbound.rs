//! A `FetchBatchRequest` becomes a [`Batch`]: the only validation of a batch.
//! A request that cannot be sent is no fault of the batch; it becomes that
//! index's end.

use std::time::Duration;

use tokio::time::Instant;

use crate::{
    config::Config,
    proto,
    request::{Batch, InvalidRequest, Options, Overflow, Request},
};

/// Why a call is refused as a whole.
#[derive(Debug, thiserror::Error)]
#[error("{field}: {problem}")]
pub(super) struct InvalidBatch {
    /// The field, as a path in `FetchBatchRequest`.
    pub(super) field: String,
    /// What is wrong with it, and what is accepted.
    pub(super) problem: String,
}

/// The batch of `message`, which arrived at `arrival`.
pub(super) fn batch(
    message: proto::FetchBatchRequest,
    arrival: Instant,
    config: &Config,
) -> Result<Batch, InvalidBatch> {
    let limits = &config.limits;
    let most = limits.max_batch_requests;
    let count = message.requests.len();
    if count > most as usize {
        return Err(InvalidBatch {
            field: "requests".to_owned(),
            problem: format!("has {count} requests; at most {most} are accepted in one batch"),
        });
    }
    let defaults = message.options.unwrap_or_default();
    let options = options(&defaults, Options::default(), config)
        .map_err(|invalid| InvalidBatch::of(format!("options.{}", invalid.field), invalid))?;
    let timeout = duration("timeout", message.timeout.as_ref())
        .map_err(|invalid| InvalidBatch::of(invalid.field.to_owned(), invalid))?;
    let concurrency = match message.concurrency {
        0 => limits.default_concurrency,
        wish => wish.min(limits.max_concurrency),
    };
    let requests = message.requests.into_iter();
    Ok(Batch {
        requests: requests
            .map(|message| request(message, options, config))
            .collect(),
        concurrency: concurrency as usize,
        arrival,
        deadline: timeout.and_then(|timeout| arrival.checked_add(timeout)),
    })
}

fn request(
    message: proto::FetchRequest,
    defaults: Options,
    config: &Config,
) -> Result<Request, InvalidRequest> {
    let mut request = Request::new(&message.url, &message.method)?;
    for header in message.headers {
        request.add_header(&header.name, header.value)?;
    }
    request.body = message.body;
    request.options = match message.options {
        Some(own) => options(&own, defaults, config)?,
        None => defaults,
    };
    Ok(request)
}

/// `base` with every field that `message` sets.
fn options(
    message: &proto::FetchOptions,
    base: Options,
    config: &Config,
) -> Result<Options, InvalidRequest> {
    let set = |field, value, or| Ok(duration(field, value)?.unwrap_or(or));
    if message.max_attempts == Some(0) {
        return Err(InvalidRequest::new(
            "max_attempts",
            "is 0; 1 is the least, and never retries",
        ));
    }
    let wished = Options {
        timeout: set("timeout", message.timeout.as_ref(), base.timeout)?,
        idle_timeout: set(
            "idle_timeout",
            message.idle_timeout.as_ref(),
            base.idle_timeout,
        )?,
        connect_timeout: set(
            "connect_timeout",
            message.connect_timeout.as_ref(),
            base.connect_timeout,
        )?,
        max_redirects: message.max_redirects.unwrap_or(base.max_redirects),
        max_body_bytes: message.max_body_bytes.unwrap_or(base.max_body_bytes),
        body_overflow: overflow(message.body_overflow)?.unwrap_or(base.body_overflow),
        max_attempts: message.max_attempts.unwrap_or(base.max_attempts),
    };
    Ok(wished.lowered_to(&config.ceilings))
}

fn overflow(value: i32) -> Result<Option<Overflow>, InvalidRequest> {
    match proto::BodyOverflow::try_from(value) {
        Ok(proto::BodyOverflow::Unspecified) => Ok(None),
        Ok(proto::BodyOverflow::Fail) => Ok(Some(Overflow::Fail)),
        Ok(proto::BodyOverflow::Truncate) => Ok(Some(Overflow::Truncate)),
        Err(_) => {
            let problem = format!("{value} is not known; 0 to 2 are accepted");
            Err(InvalidRequest::new("body_overflow", problem))
        }
    }
}

fn duration(
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
            let problem = "is no duration above 0s, with 0 to 999999999 nanos";
            Err(InvalidRequest::new(field, problem))
        }
    }
}

impl InvalidBatch {
    fn of(field: String, invalid: InvalidRequest) -> Self {
        Self {
            field,
            problem: invalid.problem,
        }
    }
}
