//! Parts become outcomes. Whatever order they come in, each request has exactly
//! one outcome, or the service broke its contract and that is said.

use bytes::{Bytes, BytesMut};

use super::{Error, Outcome, Response, Stats};
use crate::proto;

/// The results of one call, as far as they have come.
#[derive(Debug)]
pub(super) struct Assembly {
    requests: Vec<Progress>,
    unfinished: usize,
}

/// How far the result of one request has come.
#[derive(Debug)]
enum Progress {
    Waiting,
    Body(Box<Response>, Vec<Bytes>),
    Ended,
}

impl Assembly {
    /// Nothing of `count` results.
    pub(super) fn new(count: usize) -> Self {
        let requests = std::iter::repeat_with(|| Progress::Waiting);
        Self {
            requests: requests.take(count).collect(),
            unfinished: count,
        }
    }

    /// Puts a part in its place, and gives the outcome that it completes.
    pub(super) fn place(&mut self, part: proto::ResultPart) -> Result<Option<Outcome>, Error> {
        let index = part.index as usize;
        let progress = self.requests.get_mut(index);
        let progress = progress.ok_or(Error::Contract("a part with an index out of range"))?;
        match (&mut *progress, part.head) {
            (Progress::Ended, _) => return Err(Error::Contract("a part after the end")),
            (Progress::Body(..), Some(_)) => return Err(Error::Contract("a second head")),
            (Progress::Waiting, Some(head)) => {
                *progress = Progress::Body(Box::new(Response::new(head)?), Vec::new());
            }
            (Progress::Waiting | Progress::Body(..), None) => {}
        }
        if !part.body.is_empty() {
            match progress {
                Progress::Body(_, body) => body.push(part.body),
                _ => return Err(Error::Contract("a body before its head")),
            }
        }
        let Some(end) = part.end else {
            return Ok(None);
        };
        // Where the end is wrong, the request has none yet.
        let arrived = std::mem::replace(progress, Progress::Waiting);
        let outcome = outcome(index, arrived, end)?;
        *progress = Progress::Ended;
        self.unfinished -= 1;
        Ok(Some(outcome))
    }

    /// How many requests have no outcome.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }
}

/// What breaks the contract where a body is cut unsaid.
pub(super) const OTHER_SIZE: &str = "a body of another size than its end says";

fn outcome(index: usize, progress: Progress, end: proto::FetchEnd) -> Result<Outcome, Error> {
    let stats = Stats::from(&end);
    let response = match progress {
        Progress::Body(mut response, body) => {
            response.body = joined(body);
            if response.body.len() as u64 != end.body_bytes {
                return Err(Error::Contract(OTHER_SIZE));
            }
            Some(*response)
        }
        Progress::Waiting | Progress::Ended => None,
    };
    if response.is_none() && end.error.is_none() {
        return Err(Error::Contract("an end with neither response nor error"));
    }
    Ok(Outcome {
        index,
        response,
        error: end.error.map(Into::into),
        stats,
    })
}

fn joined(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() < 2 {
        return pieces.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        whole.extend_from_slice(&piece);
    }
    whole.freeze()
}
