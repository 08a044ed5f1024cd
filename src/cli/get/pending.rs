//! Tracks requests that don't have an outcome yet.

use std::{collections::HashMap, sync::Arc};

use fetchd::client::Request;
use futures_util::{Stream, stream};
use parking_lot::Mutex;

use super::input::Input;

/// Requests that we've read from the input but that have no outcome yet. Clones share
/// the same state.
#[derive(Clone, Default)]
pub(super) struct Pending(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many requests we've read.
    total: usize,
    /// The URLs of requests without an outcome, by index.
    urls: HashMap<usize, String>,
    /// Set if we had to stop before the end of the input.
    error: Option<anyhow::Error>,
}

impl Pending {
    /// Turns `input` into a stream of requests. Each one becomes pending when we read
    /// it.
    ///
    /// The stream ends at the first input error. Call [`take_error`](Self::take_error)
    /// afterwards to get it.
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

    /// Removes a request once it has an outcome. Returns its URL.
    pub(super) fn remove(&self, index: usize) -> String {
        self.0.lock().urls.remove(&index).unwrap_or_default()
    }

    /// Returns how many requests we've read so far.
    pub(super) fn total(&self) -> usize {
        self.0.lock().total
    }

    /// Takes the error that made us stop reading the input, if any.
    pub(super) fn take_error(&self) -> Option<anyhow::Error> {
        self.0.lock().error.take()
    }
}
