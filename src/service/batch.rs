//! Reads a [`Batch`] from a call's message. This is the only place where batches are
//! validated.
//!
//! We check the whole message here, but leave the requests encoded (see
//! [`BatchMessage`]). If a request can't be sent, the batch is still valid. It's only
//! that request that fails, with its own error.

#[cfg(any(test, feature = "internals"))]
#[allow(missing_docs, unreachable_pub, clippy::missing_panics_doc)]
pub mod property;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    batch_message::{BatchMessage, Span},
    check::Checker,
    context::CallContext,
    field::batch as field,
    fields::{Fields, Malformed, merge},
    options,
};
use crate::{
    config::{Config, Limits},
    proto,
    request::{Batch, InvalidRequest, Options, Requests},
};

/// Why a whole batch was rejected.
#[derive(Debug, thiserror::Error)]
pub(super) enum InvalidBatch {
    /// A field's value isn't accepted.
    #[error("{field}: {problem}")]
    Field {
        /// The field's path in `FetchBatchRequest`.
        field: String,
        /// What's wrong with the value, and which values are accepted.
        problem: String,
    },
    /// The message can't be decoded.
    #[error("the message is not a FetchBatchRequest: {0}")]
    Malformed(#[from] Malformed),
}

/// The fields of a `FetchBatchRequest`.
#[derive(Default)]
struct Contents {
    requests: Vec<Span>,
    /// The indices of requests that may be invalid. We still have to decode these to find
    /// out.
    doubtful: Vec<u32>,
    options: proto::FetchOptions,
    concurrency: u32,
    timeout: Option<prost_types::Duration>,
}

/// Reads the batch in `message`. This can take a while for a large message, so it yields
/// to other tasks from time to time. Cancel-safe.
pub(super) async fn read(
    message: Bytes,
    context: &CallContext,
    config: &Arc<Config>,
) -> Result<Batch, InvalidBatch> {
    let mut checker = Checker::default();
    let contents = Contents::read(&message, &mut checker, &config.limits).await?;
    let options = options::merged(&contents.options, Options::default(), config)
        .map_err(|invalid| InvalidBatch::field(format!("options.{}", invalid.field), invalid))?;
    let timeout = contents.timeout()?;
    let message = BatchMessage::new(message, contents.requests, options, Arc::clone(config));
    let mut requests = Requests::new(message);
    for index in contents.doubtful {
        checker.count().await;
        requests.check(index);
    }
    let deadline = timeout.and_then(|timeout| context.arrival.checked_add(timeout));
    let concurrency = match contents.concurrency {
        0 => config.limits.default_concurrency,
        wanted => wanted.min(config.limits.max_concurrency),
    };
    Ok(Batch {
        id: context.id,
        span: context.span.clone(),
        requests,
        identity: context.identity.clone(),
        concurrency: concurrency as usize,
        arrival: context.arrival,
        deadline: deadline.into_iter().chain(context.batch_deadline()).min(),
    })
}

impl Contents {
    async fn read(
        message: &[u8],
        checker: &mut Checker,
        limits: &Limits,
    ) -> Result<Self, InvalidBatch> {
        let mut contents = Self::default();
        let mut fields = Fields::of(message);
        while let Some(field) = fields.next() {
            checker.count().await;
            let (number, value) = field?;
            match number {
                field::REQUESTS => {
                    let request = value.bytes(number)?;
                    let index = contents.next_index(limits.max_batch_requests)?;
                    let end = message.len() - fields.remaining();
                    let span = Span::new(end - request.len(), request.len());
                    contents.requests.push(span);
                    if !checker.is_plain(request).await? {
                        contents.doubtful.push(index);
                    }
                }
                field::OPTIONS => merge(&mut contents.options, value.bytes(number)?, number)?,
                field::CONCURRENCY => contents.concurrency = value.uint32(number)?,
                field::TIMEOUT => {
                    let timeout = contents.timeout.get_or_insert_default();
                    merge(timeout, value.bytes(number)?, number)?;
                }
                _ => {}
            }
        }
        contents.requests.shrink_to_fit();
        Ok(contents)
    }

    /// Returns the index for the next request. Fails if there are `max` requests already.
    fn next_index(&self, max: u32) -> Result<u32, InvalidBatch> {
        let index = u32::try_from(self.requests.len()).ok();
        index
            .filter(|index| *index < max)
            .ok_or_else(|| InvalidBatch::Field {
                field: "requests".to_owned(),
                problem: format!("too many requests; expected at most {max}"),
            })
    }

    fn timeout(&self) -> Result<Option<Duration>, InvalidBatch> {
        options::duration("timeout", self.timeout.as_ref())
            .map_err(|invalid| InvalidBatch::field(invalid.field.to_owned(), invalid))
    }
}

impl InvalidBatch {
    fn field(field: String, invalid: InvalidRequest) -> Self {
        Self::Field {
            field,
            problem: invalid.problem,
        }
    }
}
