//! The last part of a request.

use bytes::Bytes;
use tokio::time::Instant;

use crate::response::{End, FetchError, Head, Part, Timing};

/// The last part of a request, which always has an end. A job is over only with one.
pub(super) struct LastPart {
    pub(super) index: u32,
    pub(super) head: Option<Head>,
    pub(super) body: Bytes,
    pub(super) end: End,
}

impl LastPart {
    /// Creates the last part of the request at `index`, which has no response.
    pub(super) fn failed(index: u32, end: End) -> Self {
        Self {
            index,
            head: None,
            body: Bytes::new(),
            end,
        }
    }

    /// Creates the last part of the request at `index`, which arrived at `arrival` and
    /// cannot be sent because of `error`.
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
