//! A request's last part.

use bytes::Bytes;
use tokio::time::Instant;

use crate::response::{End, FetchError, Head, Part, Timing};

/// A request's last part. Unlike a [`Part`], it always has an end. A job isn't done
/// without one.
pub(super) struct LastPart {
    pub(super) index: u32,
    pub(super) head: Option<Head>,
    pub(super) body: Bytes,
    pub(super) end: End,
}

impl LastPart {
    /// Creates the last part for the request at `index`, which didn't get a response.
    pub(super) fn failed(index: u32, end: End) -> Self {
        Self {
            index,
            head: None,
            body: Bytes::new(),
            end,
        }
    }

    /// Creates the last part for the request at `index`, which can't be sent because of
    /// `error`. `arrival` is when the request arrived.
    pub(super) fn refused(index: u32, arrival: Instant, error: FetchError) -> Self {
        let end = End {
            error: Some(error),
            attempts: 0,
            redirects: 0,
            body_bytes: 0,
            truncated: false,
            timing: Timing {
                queued: arrival.elapsed(),
                ..Timing::default()
            },
        };
        Self::failed(index, end)
    }
}

impl From<LastPart> for Part {
    fn from(last: LastPart) -> Self {
        Self {
            index: last.index,
            head: last.head,
            body: last.body,
            end: Some(last.end),
        }
    }
}
