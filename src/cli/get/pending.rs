//! Tracks requests that don't have an outcome yet.

use std::{collections::BTreeMap, sync::Arc};

use fetchd::client::Request;
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use serde_json::value::RawValue;

use super::{
    body_files::BodyFiles,
    input::{Input, Item},
};

/// The input, and the requests in it that don't have an outcome yet. Clones share the
/// same state.
#[derive(Clone)]
pub(super) struct Pending {
    input: Arc<tokio::sync::Mutex<Input>>,
    state: Arc<Mutex<State>>,
    body_files: Option<BodyFiles>,
    keeps_requests: bool,
}

#[derive(Default)]
struct State {
    /// How many requests we've read.
    total: usize,
    /// Requests without an outcome, by index.
    entries: BTreeMap<usize, Arc<Entry>>,
    /// Set once we've read the whole input, or couldn't read on.
    has_ended: bool,
    error: Option<anyhow::Error>,
}

/// What the input says about a request.
pub(super) struct Entry {
    /// The line as it was, without the line break.
    pub(super) line: Vec<u8>,
    pub(super) id: Option<Box<RawValue>>,
    pub(super) url: String,
    /// The name of the file for its body.
    pub(super) file: Option<String>,
    /// The request itself, if we keep it.
    pub(super) request: Option<Request>,
}

impl Pending {
    /// Creates the tracker for `input`. If we write bodies to files, requests whose file
    /// exists won't be sent. With `keeps_requests`, entries have their requests.
    pub(super) fn new(input: Input, body_files: Option<BodyFiles>, keeps_requests: bool) -> Self {
        Self {
            input: Arc::new(tokio::sync::Mutex::new(input)),
            state: Arc::default(),
            body_files,
            keeps_requests,
        }
    }

    /// Returns the input as a stream of requests. Each one becomes pending when we read
    /// it.
    ///
    /// The stream ends at the first input error. Call [`take_error`](Self::take_error)
    /// afterwards to get it.
    pub(super) fn requests(&self) -> impl Stream<Item = Request> + Send + use<> {
        stream::unfold(self.clone(), |pending| async move {
            let request = pending.read().await?;
            Some((request, pending))
        })
    }

    /// Reads the next request. Cancel-safe.
    async fn read(&self) -> Option<Request> {
        if self.has_ended() {
            return None;
        }
        let next = self.input.lock().await.next().await;
        match next {
            Ok(Some(item)) => return Some(self.add(item)),
            Ok(None) => {}
            Err(error) => self.state.lock().error = Some(error),
        }
        self.state.lock().has_ended = true;
        None
    }

    fn add(&self, item: Item) -> Request {
        let mut state = self.state.lock();
        let index = state.total;
        state.total += 1;
        let file = match &self.body_files {
            Some(files) => files.name(index, item.id.as_deref(), &item.url).map(Some),
            None => Ok(None),
        };
        let (file, request) = match file {
            Ok(file) => (file, item.request),
            Err(problem) => (None, Request::unsendable(problem)),
        };
        let entry = Entry {
            line: item.line,
            id: item.id,
            url: item.url,
            file,
            request: self.keeps_requests.then(|| request.clone()),
        };
        state.entries.insert(index, Arc::new(entry));
        request
    }

    /// Returns what the input says about a pending request.
    pub(super) fn get(&self, index: usize) -> Option<Arc<Entry>> {
        self.state.lock().entries.get(&index).cloned()
    }

    /// Removes a request once we've printed its outcome.
    pub(super) fn remove(&self, index: usize) {
        self.state.lock().entries.remove(&index);
    }

    /// Takes the first pending request.
    pub(super) fn pop_first(&self) -> Option<Arc<Entry>> {
        let (_, entry) = self.state.lock().entries.pop_first()?;
        Some(entry)
    }

    /// Reads the next request from the input and takes it. Cancel-safe.
    pub(super) async fn take_next(&self) -> Option<Arc<Entry>> {
        self.read().await?;
        self.pop_first()
    }

    /// Returns true if there's nothing more to read.
    pub(super) fn has_ended(&self) -> bool {
        self.state.lock().has_ended
    }

    /// Returns true if we can read the input to its end without waiting for anyone.
    pub(super) async fn is_file(&self) -> bool {
        self.input.lock().await.is_file()
    }

    /// Takes the error that made us stop reading the input, if any.
    pub(super) fn take_error(&self) -> Option<anyhow::Error> {
        self.state.lock().error.take()
    }
}
