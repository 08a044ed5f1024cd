use std::future::poll_fn;

use super::*;
use crate::{
    caller::Peer,
    egress::Policy,
    request::{BatchId, EncodedRequests, InvalidRequest, Request, Requests},
};

struct Urls(Vec<String>);

impl EncodedRequests for Urls {
    fn count(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap()
    }

    fn decode(&self, index: u32) -> Result<Request, InvalidRequest> {
        Request::new(&self.0[index as usize], "")
    }
}

#[tokio::test]
async fn panic_ends_only_its_own_request() {
    let config = Config::default();
    let scheduler = Scheduler::new(
        &config,
        egress::Policy::new(&config.egress),
        Arc::new(Metrics::new(&config.limits)),
        HeaderValue::from_static("test"),
    );
    let faulty = format!("http://{}/", Policy::FAULTY);
    // There's only one worker, so it has to survive the panic to get to the last request.
    let requests = ["http://127.0.0.1/", &faulty, "http://127.0.0.1/"];
    let mut parts = scheduler.run(
        Batch {
            id: BatchId::random(),
            span: tracing::Span::none(),
            requests: Requests::new(Urls(requests.map(str::to_owned).into())),
            identity: Peer::Local.into(),
            concurrency: 1,
            arrival: Instant::now(),
            deadline: None,
        },
        None,
    );
    let mut reasons = Vec::new();
    while let Some(part) = poll_fn(|cx| parts.poll_next(cx)).await {
        let error = part.end.expect("no response").error.expect("an error");
        reasons.push((part.index, error.reason));
    }
    let blocked = Reason::Blocked;
    assert_eq!(reasons, [(0, blocked), (1, Reason::Internal), (2, blocked)]);
    assert_eq!(parts.take_unfinished(), 0);
}
