//! Takes requests from a list.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream::BoxStream};

use super::PauseFlag;
use crate::client::Request;

/// Where the requests come from.
pub(crate) enum Source {
    /// A list. We know all requests from the start.
    List(Vec<Request>),
    /// A stream. Requests arrive over time, possibly forever.
    Stream(BoxStream<'static, Request>),
}

/// Takes requests from a stream and numbers them.
pub(super) struct Intake {
    /// Set to `None` when the stream ends.
    requests: Option<BoxStream<'static, Request>>,
    /// How many requests we've taken.
    taken: usize,
    pause: Arc<PauseFlag>,
}

/// A request, with its position in the list.
pub(super) struct Numbered {
    pub(super) position: usize,
    pub(super) request: Request,
}

impl Intake {
    pub(super) fn new(requests: BoxStream<'static, Request>, pause: Arc<PauseFlag>) -> Self {
        Self {
            requests: Some(requests),
            taken: 0,
            pause,
        }
    }

    /// Returns true if we've taken all requests.
    pub(super) fn has_ended(&self) -> bool {
        self.requests.is_none()
    }

    /// Returns true if we may take requests now, i.e. we aren't at the end or paused.
    pub(super) fn is_open(&self) -> bool {
        self.requests.is_some() && !self.pause.is_set()
    }

    /// Returns the next request if it's available without waiting.
    pub(super) fn take_ready(&mut self) -> Option<Numbered> {
        if !self.is_open() {
            return None;
        }
        let request = self.requests.as_mut()?.next().now_or_never()?;
        self.number(request)
    }

    /// Waits for the next request. If `has_room` is false, we don't take any.
    ///
    /// Returns `None` at the end of the list, and also if the pause flag changes.
    /// Cancel-safe.
    pub(super) async fn next(&mut self, has_room: bool) -> Option<Numbered> {
        let is_open = has_room && self.is_open();
        let next = async {
            match &mut self.requests {
                Some(requests) => requests.next().await,
                None => None,
            }
        };
        tokio::select! {
            biased;
            request = next, if is_open => self.number(request),
            () = self.pause.changed() => None,
        }
    }

    fn number(&mut self, request: Option<Request>) -> Option<Numbered> {
        let Some(request) = request else {
            self.requests = None;
            return None;
        };
        let position = self.taken;
        self.taken += 1;
        Some(Numbered { position, request })
    }
}
