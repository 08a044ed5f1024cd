//! Assembles outcomes from the parts a call sends us.

use std::time::SystemTime;

use bytes::{Bytes, BytesMut};

use crate::{
    client::{Error, FetchStats, Outcome, Response},
    proto::{FetchEnd, ResultPart},
};

/// Assembles the results of one call. Their parts may arrive in any order.
///
/// Each request gets exactly one outcome. If a part contradicts another one, that's an
/// error.
#[derive(Debug)]
pub(super) struct Assembly {
    requests: Vec<Progress>,
    unfinished: usize,
}

/// How far we've got with a result.
#[derive(Debug)]
enum Progress {
    Waiting,
    Body(Box<Response>, Vec<Bytes>),
    Ended,
}

/// The error message if a body isn't as long as its end says (e.g. because it was cut
/// short and nobody told us).
pub(super) const OTHER_SIZE: &str = "a body of another size than its end reports";

impl Assembly {
    /// Creates the assembly for a call with `count` requests.
    pub(super) fn new(count: usize) -> Self {
        let requests = std::iter::repeat_with(|| Progress::Waiting);
        Self {
            requests: requests.take(count).collect(),
            unfinished: count,
        }
    }

    /// Adds a part. If this completes a result, returns its outcome.
    pub(super) fn add(&mut self, part: ResultPart) -> Result<Option<Outcome>, Error> {
        let index = part.index as usize;
        let Some(progress) = self.requests.get_mut(index) else {
            return Err(Error::contract("a part with an index out of range"));
        };
        match (&mut *progress, part.head) {
            (Progress::Ended, _) => return Err(Error::contract("a part after the end")),
            (Progress::Body(..), Some(_)) => return Err(Error::contract("a second head")),
            (Progress::Waiting, Some(head)) => {
                *progress = Progress::Body(Box::new(Response::from_head(head)?), Vec::new());
            }
            (Progress::Waiting | Progress::Body(..), None) => {}
        }
        if !part.body.is_empty() {
            match progress {
                Progress::Body(_, body) => body.push(part.body),
                _ => return Err(Error::contract("a body before its head")),
            }
        }
        let Some(end) = part.end else {
            return Ok(None);
        };
        // Reset the progress first. If the end turns out to be wrong, the request
        // doesn't get an outcome and still counts as unfinished.
        let arrived = std::mem::replace(progress, Progress::Waiting);
        let outcome = outcome(index, arrived, end)?;
        *progress = Progress::Ended;
        self.unfinished -= 1;
        Ok(Some(outcome))
    }

    /// Returns how many requests don't have an outcome yet.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished
    }
}

fn outcome(index: usize, progress: Progress, end: FetchEnd) -> Result<Outcome, Error> {
    let stats = FetchStats::from_end(&end);
    let response = match progress {
        Progress::Body(mut response, pieces) => {
            response.body = concat(pieces);
            if response.body.len() as u64 != end.body_bytes {
                return Err(Error::contract(OTHER_SIZE));
            }
            Some(*response)
        }
        Progress::Waiting | Progress::Ended => None,
    };
    if response.is_none() && end.error.is_none() {
        return Err(Error::contract("an end with neither response nor error"));
    }
    Ok(Outcome {
        index,
        response,
        error: end.error.map(Error::from_fetch),
        stats,
        ended: SystemTime::now(),
    })
}

fn concat(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() < 2 {
        return pieces.pop().unwrap_or_default();
    }
    let mut body = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
    for piece in pieces {
        body.extend_from_slice(&piece);
    }
    body.freeze()
}
