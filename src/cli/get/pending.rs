//! The requests without an outcome.

use std::{collections::HashMap, sync::Arc};

use fetchd::client::Request;
use futures_util::{Stream, stream};
use parking_lot::Mutex;

use super::input::Input;

/// The requests that were read from the input and have no outcome yet. All clones
/// share one state.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many requests were read.
    total: usize,
    /// The URL of each request without an outcome, by its index.
    urls: HashMap<usize, String>,
    /// Why reading stopped before the end of the input.
    error: Option<anyhow::Error>,
}

impl Pending {
    /// Returns the requests of `input`, each of which becomes pending when it is
    /// read. The stream ends at the first error of the input, which
    /// [`take_error`](Self::take_error) then returns.
    pub(super) fn read(&self, input: Input) -> impl Stream<Item = Request> + Send + use<> {
        stream::unfold((input, self.clone()), |(mut input, pending)| async move {
            let next = input.next().await;
            let request = match next {
                Ok(next) => {
                    let (url, request) = next?;
                    pending.add(url);
                    request
                }
                Err(error) => {
                    pending.0.lock().error = Some(error);
                    return None;
                }
            };
            Some((request, (input, pending)))
        })
    }

    fn add(&self, url: String) {
        let mut state = self.0.lock();
        let index = state.total;
        state.urls.insert(index, url);
        state.total += 1;
    }

    /// Removes a request that has an outcome, and returns its URL.
    pub(super) fn remove(&self, index: usize) -> String {
        self.0.lock().urls.remove(&index).unwrap_or_default()
    }

    /// Returns how many requests were read so far.
    pub(super) fn total(&self) -> usize {
        self.0.lock().total
    }

    /// Takes the error that ended the reading of the input, if there was one.
    pub(super) fn take_error(&self) -> Option<anyhow::Error> {
        self.0.lock().error.take()
    }
}
