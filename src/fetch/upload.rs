//! The body of a request on its way to the origin.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

/// How much hyper is given at a time. It asks for more once it has room, which
/// shows that the origin takes what is sent.
const CHUNK: usize = 64 << 10;

/// A body in memory that knows when hyper last took some of it. A clone tells
/// the same.
#[derive(Clone)]
pub(super) struct Upload {
    rest: Bytes,
    /// Only where there is a body: most requests need no allocation.
    last_taken: Option<Arc<Mutex<Instant>>>,
}

impl Upload {
    pub(super) fn new(body: Bytes) -> Self {
        let last_taken = (!body.is_empty()).then(|| Arc::new(Mutex::new(Instant::now())));
        Self {
            rest: body,
            last_taken,
        }
    }

    /// When hyper last took some of the body. `None`: there is no body.
    pub(super) fn last_taken(&self) -> Option<Instant> {
        let last_taken = self.last_taken.as_ref()?;
        Some(*last_taken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if let Some(last_taken) = &self.last_taken {
            *last_taken.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        let length = self.rest.len().min(CHUNK);
        let chunk = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(chunk))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
