//! One request in a call of its own, its body read as a stream.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tonic::Streaming;

use super::{
    Error, Request, Response, Stats,
    assembly::OTHER_SIZE,
    call::heard,
    endpoint::Endpoint,
    endpoints::Endpoints,
    failure::{Failure, Meaning},
    item::Item,
    resend::Resend,
};
use crate::proto::{FetchBatchRequest, FetchBatchResponse, FetchEnd, Reason, ResultPart};

/// The parts of one result.
struct Parts {
    responses: Streaming<FetchBatchResponse>,
    received: VecDeque<ResultPart>,
    /// No message has come yet.
    is_empty: bool,
    silence_timeout: Duration,
}

/// The rest of a body.
struct Rest {
    parts: Parts,
    /// What was received and not given yet.
    body: Bytes,
    /// How much of the body was given.
    given: u64,
    end: Option<FetchEnd>,
}

/// Sends `request`, to another replica if one fails before anything is there and
/// it may be sent again, and gives the response as soon as its first part is
/// there.
pub(super) async fn execute(
    endpoints: &Endpoints,
    request: Request,
) -> Result<reqwest::Response, Error> {
    let mut item = Item::new(0, request.into_message()?);
    let mut outage = endpoints.outage();
    loop {
        let admitted = endpoints.wait_for_admitted(&mut outage).await?;
        let untried = admitted
            .iter()
            .filter(|endpoint| !item.avoids(endpoint.name()));
        let preferred = |endpoint: &&Arc<Endpoint>| endpoint.weight(item.host());
        let Some(endpoint) = untried.max_by_key(preferred) else {
            item.avoid_none();
            continue;
        };
        let failure = match begin(endpoint, &item, endpoints.silence_timeout()).await {
            Ok(response) => {
                endpoint.works();
                return Ok(response);
            }
            Err(failure) => failure,
        };
        outage.failed(&failure);
        if !Resend::after(endpoints, endpoint, failure.meaning).allows(&mut item) {
            return Err(failure.error);
        }
    }
}

/// Makes the call, as far as the first part of its result.
async fn begin(
    endpoint: &Endpoint,
    item: &Item,
    silence_timeout: Duration,
) -> Result<reqwest::Response, Failure> {
    let call = FetchBatchRequest {
        requests: vec![item.message.clone()],
        ..Default::default()
    };
    let mut service = endpoint.service();
    let response = heard(service.fetch_batch(call), silence_timeout).await?;
    let mut parts = Parts {
        responses: response.map_err(Failure::unopened)?.into_inner(),
        received: VecDeque::new(),
        is_empty: true,
        silence_timeout,
    };
    let first = parts.next().await?;
    let Some(head) = first.head else {
        let Some(end) = first.end else {
            return Err(Failure::lost(Error::Contract("a part before the head")));
        };
        return Err(ended(&end));
    };
    let response = Response::new(head).map_err(Failure::lost)?;
    let stats = first.end.as_ref().map(Stats::from);
    let rest = Rest {
        parts,
        body: first.body,
        given: 0,
        end: first.end,
    };
    let mut response = response.with_body(reqwest::Body::wrap_stream(rest.into_stream()));
    // Known by now where the body is short.
    if let Some(stats) = stats {
        response.extensions_mut().insert(stats);
    }
    Ok(response)
}

/// Why there is no response.
fn ended(end: &FetchEnd) -> Failure {
    let Some(error) = &end.error else {
        return Failure::lost(Error::Contract("an end with neither response nor error"));
    };
    let meaning = match (error.reason(), end.attempts) {
        (Reason::ShuttingDown, 0) => Meaning::NotDispatched(None),
        (Reason::ShuttingDown, _) => Meaning::Lost,
        _ => Meaning::Final,
    };
    Failure {
        error: error.clone().into(),
        meaning,
    }
}

impl Parts {
    async fn next(&mut self) -> Result<ResultPart, Failure> {
        loop {
            match self.received.pop_front() {
                Some(part) if part.index == 0 => return Ok(part),
                Some(_) => {
                    let error = Error::Contract("a part with an index out of range");
                    return Err(Failure::lost(error));
                }
                None => {}
            }
            let message = heard(self.responses.message(), self.silence_timeout).await?;
            let Some(message) = message.map_err(|status| Failure::cut(status, self.is_empty))?
            else {
                let error = Error::Contract("the stream ended without an end");
                return Err(Failure::lost(error));
            };
            self.is_empty = false;
            self.received.extend(message.parts);
        }
    }
}

impl Rest {
    fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        stream::try_unfold(self, |mut rest| async move {
            let bytes = rest.next().await?;
            Ok(bytes.map(|bytes| (bytes, rest)))
        })
    }

    /// The next bytes, or `None` after the last of a complete body.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if !self.body.is_empty() {
                self.given += self.body.len() as u64;
                return Ok(Some(std::mem::take(&mut self.body)));
            }
            match self.end.take() {
                Some(FetchEnd {
                    error: None,
                    body_bytes,
                    ..
                }) => {
                    self.read_out().await;
                    if self.given != body_bytes {
                        return Err(Error::Contract(OTHER_SIZE));
                    }
                    return Ok(None);
                }
                Some(FetchEnd {
                    error: Some(error), ..
                }) => return Err(error.into()),
                None => {}
            }
            let part = self.parts.next().await.map_err(|failure| failure.error)?;
            if part.head.is_some() {
                return Err(Error::Contract("a second head"));
            }
            self.body = part.body;
            self.end = part.end;
        }
    }

    /// Reads to the end of the call, so that the service does not take it for
    /// cancelled. Nothing is missing whatever comes.
    async fn read_out(&mut self) {
        while let Ok(Some(_)) = self.parts.responses.message().await {}
    }
}
