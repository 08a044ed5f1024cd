//! List results as streams: [`Outcomes`] returns them as they arrive, [`InOrder`] in
//! request order.

mod in_order;

use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::{FutureExt, Stream, StreamExt, stream::BoxStream};

use super::{
    Outage, Outcome,
    replicas::{Replicas, SharedOutage},
    send::{ListSender, ListSettings, PauseFlag, Source},
};
pub use in_order::InOrder;

/// A stream of list outcomes, as they arrive. There's exactly one per request.
///
/// If a request is lost along with its call, we send it again, either to another replica
/// or to the same one later. The exception is a request that isn't idempotent and may
/// already have been dispatched. It ends with
/// [`Error::ServiceLost`](super::Error::ServiceLost).
///
/// Calls aren't made until you poll the stream, and dropping the stream cancels them.
#[must_use = "streams do nothing unless polled"]
pub struct Outcomes {
    stream: BoxStream<'static, Outcome>,
    pause: Arc<PauseFlag>,
    outage: SharedOutage,
}

impl Outcomes {
    pub(super) fn new(replicas: Arc<Replicas>, source: Source, settings: ListSettings) -> Self {
        let pause = Arc::<PauseFlag>::default();
        let outage = SharedOutage::default();
        let state = (Arc::clone(&pause), Arc::clone(&outage));
        let start = async move {
            let (pause, outage) = state;
            ListSender::new(replicas, source, settings, pause, outage).outcomes()
        };
        Self {
            stream: start.flatten_stream().fuse().boxed(),
            pause,
            outage,
        }
    }

    #[cfg(test)]
    fn from_stream(stream: BoxStream<'static, Outcome>) -> Self {
        Self {
            stream,
            pause: Arc::default(),
            outage: SharedOutage::default(),
        }
    }

    /// Returns the current outage, or `None` if the service answers. You can show this to
    /// people who would otherwise wonder why no results arrive.
    pub fn outage(&self) -> Option<Outage> {
        self.outage.lock().clone()
    }

    /// Pauses or resumes the intake of new requests.
    fn set_paused(&self, is_paused: bool) {
        self.pause.set(is_paused);
    }
}

impl Stream for Outcomes {
    type Item = Outcome;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Outcome>> {
        self.stream.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Outcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outcomes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
