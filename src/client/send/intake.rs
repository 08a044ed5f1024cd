//! The intake of a list's requests.

use std::sync::Arc;

use futures_util::{FutureExt, StreamExt, stream::BoxStream};

use super::PauseFlag;
use crate::client::Request;

/// The requests to send.
pub(crate) enum Source {
    /// All requests are known.
    List(Vec<Request>),
    /// Further requests arrive over time.
    Stream(BoxStream<'static, Request>),
}

/// Takes requests from a stream and numbers them.
pub(super) struct Intake {
    /// `None` after the end of the stream.
    requests: Option<BoxStream<'static, Request>>,
    /// The number of requests that were taken.
    taken: usize,
    pause: Arc<PauseFlag>,
}

/// A request with its position in the list.
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

    /// Returns true if all requests were taken.
    pub(super) fn has_ended(&self) -> bool {
        self.requests.is_none()
    }

    /// Returns true if further requests may be taken now.
    pub(super) fn is_open(&self) -> bool {
        self.requests.is_some() && !self.pause.is_set()
    }

    /// Returns the next request if there is one now.
    pub(super) fn take_ready(&mut self) -> Option<Numbered> {
        if !self.is_open() {
            return None;
        }
        let request = self.requests.as_mut()?.next().now_or_never()?;
        self.number(request)
    }

    /// Waits for the next request if the intake `has_room`, and returns `None` at the
    /// end of the list or if the pause flag changes. Cancel-safe.
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
