//! A request list that we haven't sent yet.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::StreamExt;

use super::{
    Error, InOrder, Outcome, Outcomes,
    replicas::Replicas,
    send::{ListSettings, Source},
};

/// A request list and its settings. You get one from [`Client::fetch`] or
/// [`Client::fetch_stream`].
///
/// Nothing is sent until you poll the results, and the timeout doesn't start before that
/// either.
///
/// [`Client::fetch`]: super::Client::fetch
/// [`Client::fetch_stream`]: super::Client::fetch_stream
#[must_use = "nothing is sent until the results are polled"]
pub struct Fetch {
    replicas: Arc<Replicas>,
    source: Source,
    settings: ListSettings,
}

impl Fetch {
    pub(super) fn new(replicas: Arc<Replicas>, source: Source) -> Self {
        Self {
            replicas,
            source,
            settings: ListSettings::default(),
        }
    }

    /// Sets the max number of requests in flight, over all replicas. 0 means the
    /// default: 50, or the service's own default if the list goes out as one call.
    pub fn concurrency(mut self, count: u32) -> Self {
        self.settings.concurrency = count;
        self
    }

    /// Sets a time limit for the whole list. Requests that haven't finished by then end
    /// with `Reason::BatchDeadline`. Default: no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = Some(timeout);
        self
    }

    /// Returns outcomes as they arrive.
    pub fn outcomes(self) -> Outcomes {
        Outcomes::new(self.replicas, self.source, self.settings)
    }

    /// Returns outcomes in request order. Each one is returned as soon as it and all
    /// earlier ones have arrived.
    pub fn in_order(self) -> InOrder {
        InOrder::new(self.outcomes())
    }

    /// Waits for all results and returns one per request, in request order. Dropping the
    /// future cancels the remaining requests.
    pub async fn all(self) -> Vec<Result<reqwest::Response, Error>> {
        self.in_order().map(Outcome::into_result).collect().await
    }
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::{FutureExt, stream};
    use tonic::transport::Endpoint;

    use super::*;
    use crate::client::{Builder, Request};

    #[tokio::test]
    async fn no_request_is_taken_before_the_first_poll() {
        let channel = Endpoint::from_static("http://127.0.0.1:1").connect_lazy();
        let replicas = Arc::new(Replicas::only(channel, Builder::default()));
        let taken = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&taken);
        let requests = stream::repeat("http://a.example/").map(move |url| {
            counted.fetch_add(1, Ordering::Relaxed);
            Request::get(url)
        });
        let fetch = Fetch::new(replicas, Source::Stream(requests.boxed())).concurrency(7);
        let mut outcomes = fetch.outcomes();
        tokio::task::yield_now().await;
        assert_eq!(taken.load(Ordering::Relaxed), 0);
        assert!(outcomes.next().now_or_never().is_none());
        assert_eq!(taken.load(Ordering::Relaxed), 7);
    }
}
