//! Which calls are let in: no more batches, and no more bytes of their messages,
//! than the process has room for. Decided before a message is decoded.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body, Frame, Incoming};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::{draining, grpc_timeout, inbound::InvalidBatch, invalid_argument, tally::Tally};
use crate::config::Limits;

/// The room for batches. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Admission {
    batches: Arc<Semaphore>,
    /// For request messages, in bytes.
    queued: Arc<Semaphore>,
    max_message: usize,
    max_requests: u32,
    draining: CancellationToken,
    open: TaskTracker,
}

/// The room of one batch, from its message to the end of its response.
pub(super) struct Admitted {
    _batch: OwnedSemaphorePermit,
    _message: Option<OwnedSemaphorePermit>,
    _open: TaskTrackerToken,
}

/// The room of a message, and the message.
struct Upload {
    room: Option<OwnedSemaphorePermit>,
    chunks: VecDeque<Bytes>,
    length: usize,
}

/// How long a message may take to arrive.
const UPLOAD: Duration = Duration::from_mins(1);

/// When a caller that was refused for lack of room should try again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const OF_BATCHES: &str = "batches of other callers";

/// Compressed or not, and the length, before each message of gRPC.
const PREFIX: usize = 5;

impl Admission {
    /// Room within `limits`, and none once `draining`. What is let in is counted
    /// in `open`.
    pub(crate) fn new(limits: &Limits, draining: CancellationToken, open: TaskTracker) -> Self {
        Self {
            batches: Arc::new(Semaphore::new(limits.batches() as usize)),
            queued: Arc::new(Semaphore::new(limits.max_queued_bytes)),
            max_message: limits.max_request_bytes,
            max_requests: limits.max_batch_requests,
            draining,
            open,
        }
    }

    /// Lets `request` in once its message is there, or says why not. What it is
    /// given goes back with the request's extensions.
    pub(crate) async fn admit(
        &self,
        request: Request<Incoming>,
    ) -> Result<Request<impl Body<Data = Bytes, Error = hyper::Error> + use<>>, Status> {
        let open = self.open.token();
        if self.batches.available_permits() == 0 {
            return Err(full(OF_BATCHES));
        }
        let (mut parts, body) = request.into_parts();
        let timeout = grpc_timeout(&parts.headers).unwrap_or(UPLOAD).min(UPLOAD);
        let upload = tokio::select! {
            biased;
            () = self.draining.cancelled() => return Err(draining()),
            upload = time::timeout(timeout, self.receive(body)) => upload.map_err(|_| {
                Status::deadline_exceeded("the request message did not arrive in time")
            })??,
        };
        let batch = Arc::clone(&self.batches).try_acquire_owned();
        let admitted = Admitted {
            _batch: batch.map_err(|_| full(OF_BATCHES))?,
            _message: upload.room,
            _open: open,
        };
        parts.extensions.insert(Arc::new(admitted));
        let frames = upload
            .chunks
            .into_iter()
            .map(|chunk| Ok(Frame::data(chunk)));
        Ok(Request::from_parts(
            parts,
            StreamBody::new(stream::iter(frames)),
        ))
    }

    /// Receives a message, each piece of which takes room.
    async fn receive(&self, mut body: Incoming) -> Result<Upload, Status> {
        let mut upload = Upload {
            room: None,
            chunks: VecDeque::new(),
            length: 0,
        };
        let mut tally = Tally::new(PREFIX);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Status::cancelled("the request broke off"))?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            upload.length += data.len();
            if upload.length > self.max_message + PREFIX {
                let most = self.max_message;
                let message = format!("the message has more than {most} bytes, which is the limit");
                return Err(Status::out_of_range(message));
            }
            if tally.read(&data) > u64::from(self.max_requests) {
                return Err(invalid_argument(&InvalidBatch {
                    field: "requests".to_owned(),
                    problem: format!(
                        "has too many requests; at most {} are accepted in one batch",
                        self.max_requests
                    ),
                }));
            }
            let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
            let room = Arc::clone(&self.queued).try_acquire_many_owned(bytes);
            let room = room.map_err(|_| full("request messages of other callers"))?;
            match &mut upload.room {
                Some(all) => all.merge(room),
                none => *none = Some(room),
            }
            upload.chunks.push_back(data);
        }
        Ok(upload)
    }
}

fn full(of: &str) -> Status {
    let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER));
    let message = format!("the server is full of {of}; nothing was dispatched: try again");
    Status::with_error_details(Code::ResourceExhausted, message, details)
}
